import hashlib
import json

from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from pipeline import digests


@given(st.dictionaries(st.sampled_from("abcd"), st.binary(max_size=5), min_size=1))
def test_a_content_digest_depends_on_names_and_bytes_alone(tmp_path_factory, files):
    one, two = (epath.Path(tmp_path_factory.mktemp("content")) for _ in range(2))
    for name, content in files.items():
        (one / name).write_bytes(content)
    for name, content in reversed(files.items()):
        (two / name).write_bytes(content)
    assert digests.content_digest(one) == digests.content_digest(two)
    name = next(iter(files))
    (two / name).write_bytes(bytes(byte ^ 1 for byte in files[name]) or b"x")
    assert digests.content_digest(one) != digests.content_digest(two)
    (two / name).write_bytes(files[name])
    (two / name).rename(two / "z")
    assert digests.content_digest(one) != digests.content_digest(two)


def test_a_recorded_digest_is_used_in_place_of_reading_the_file(tmp_path):
    folder = epath.Path(tmp_path)
    (folder / "shard").write_bytes(b"audio")
    computed = digests.content_digest(folder)
    (folder / "_done").mkdir()
    record = folder / "_done" / "shard.json"
    record.write_text(json.dumps({"sha256": hashlib.sha256(b"audio").hexdigest(), "bytes": 5}))
    assert digests.content_digest(folder) == computed
    record.write_text(json.dumps({"sha256": "other", "bytes": 5}))
    assert digests.content_digest(folder) != computed
    record.write_text(json.dumps({"sha256": "other", "bytes": 6}))  # The size is not that of the file, so it is read.
    assert digests.content_digest(folder) == computed


def test_digests_of_a_folder_stay_the_same_over_versions(tmp_path):
    """Stored metadata holds digests. If these values change, every user's stages run again."""
    folder = epath.Path(tmp_path)
    (folder / "variables").mkdir()
    (folder / "variables" / "data").write_bytes(b"weights")
    (folder / "b.json").write_text("{}")
    (folder / "_done").mkdir()
    (folder / "_done" / "b.json").write_text("no part of the digests")
    sizes = digests.file_sizes(folder)
    assert digests.listing_digest(sizes) == "cafb002d8c577ac83fee86716afc5e429c5495c4aa1458ce8ff89dd1c19f9f24"
    assert digests.content_digest(folder) == "5c3630e5a79dd36a13864593cc09454628801bfea4e71937e97e436a645c0398"
