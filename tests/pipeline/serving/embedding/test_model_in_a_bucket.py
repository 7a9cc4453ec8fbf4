"""A model in a bucket, where a run with a gs:// root leaves it."""

import pathlib

import numpy as np
import pytest

from beam_jobs import storage
from pipeline import cli
from tests import corpora, exports
from tests.pipeline.refusals import refusal
from tests.pipeline.serving.server.running import PREDICT, ask, running


@pytest.fixture
def place(buckets, tmp_path_factory):
    """A folder of versions in the bucket, with the version 5."""
    model = exports.small(tmp_path_factory)
    for name in storage.file_sizes(model):
        storage.write_bytes(storage.open_path(f"gs://bucket/model/5/{name}"), pathlib.Path(model, name).read_bytes())
    return "gs://bucket/model"


@pytest.mark.parametrize("of", ["/5", "/5/", ""])
def test_embed_reads_it(place, tmp_path, tmp_path_factory, of):
    corpora.write_tone(tmp_path / "a.wav", seconds=1.0)
    vectors = []
    for number, model in enumerate((place + of, str(exports.small(tmp_path_factory)))):
        output = tmp_path / f"{number}.npz"
        assert cli.main(["embed", "--model", model, "--output", str(output), str(tmp_path / "a.wav")]) == 0
        with np.load(output) as content:
            vectors.append(content["embedding"])
    np.testing.assert_array_equal(*vectors)


def test_serve_serves_the_newest_of_its_versions(place):
    with running(place) as server:
        assert ask(server, "/v1/models/diptych/metadata").json()["model_spec"]["version"] == "5"
        assert ask(server, PREDICT, {"instances": [[0.5, 0.25]]}).status_code == 200


def test_what_is_no_model_is_said(place, capsys, tmp_path):
    corpora.write_tone(tmp_path / "a.wav")
    for model in ("gs://bucket/other", "gs://bucket/model/5/assets"):
        said = refusal(capsys, "embed", "--model", model, "--output", tmp_path / "o.npz", tmp_path / "a.wav")
        assert f"--model {model} is not a SavedModel from Diptych" in said
