import json

import pytest

from components.embedding_info import ASSET, FILE, EmbeddingInfo, is_in
from components.errors import DamagedFile

INFO = EmbeddingInfo(
    formats=("mfcc", "mfcc"),
    dims={"mfcc_a": 16, "mfcc_b": 16},
    dim=32,
    sample_rate=16000,
    crop_samples=48000,
    stride_samples=24000,
    input="audio float32 (batch, samples) in [-1, 1]",
    signatures={"serving_default": {"embedding": "float32 (batch, 32)"}},
)


def test_what_is_written_is_read_back(tmp_path):
    INFO.write(tmp_path)
    assert EmbeddingInfo.read(tmp_path) == INFO


def test_the_published_format_stays(tmp_path):
    INFO.write(tmp_path)
    assert FILE == "assets.extra/embedding_info.json"
    content = {
        "formats": ["mfcc", "mfcc"],
        "dims": {"mfcc_a": 16, "mfcc_b": 16},
        "dim": 32,
        "sample_rate": 16000,
        "crop_samples": 48000,
        "stride_samples": 24000,
        "input": "audio float32 (batch, samples) in [-1, 1]",
        "signatures": {"serving_default": {"embedding": "float32 (batch, 32)"}},
    }
    later = {
        "version": 1,
        "frame_hop_samples": None,
        "made_by": {},
        "model": {},
        "training": {},
        "scores": {},
        "license": None,
        "golden_sha256": None,
    }
    assert ASSET == "assets/embedding_info.json"
    for file in (FILE, ASSET):
        assert (tmp_path / file).read_text() == json.dumps(content | later, indent=2)
    (tmp_path / FILE).write_text(json.dumps(content))  # As versions before wrote it.
    assert EmbeddingInfo.read(tmp_path) == INFO


def test_a_folder_without_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="embedding_info.json"):
        EmbeddingInfo.read(tmp_path)


def test_the_copy_is_read_where_only_that_is_left(tmp_path):
    INFO.write(tmp_path)
    (tmp_path / FILE).unlink()
    assert is_in(tmp_path)
    assert EmbeddingInfo.read(tmp_path) == INFO
    (tmp_path / ASSET).unlink()
    assert not is_in(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"7", b"{}", b"\xff\xfe", INFO.to_json().replace('"dims"', '"dimz"').encode()],
)
def test_a_damaged_file_is_named(tmp_path, content):
    INFO.write(tmp_path)
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(DamagedFile, match=r"assets\.extra/embedding_info\.json is damaged \("):
        EmbeddingInfo.read(tmp_path)
