"""The digest of the source, which tells the runner that the source has changed."""

import csv
import os

from components.audio_example_gen import source_digest
from tests import bucket, corpora
from tests.components import harness
from tests.components.audio_example_gen.stage import audio_example_gen


def digest(source):
    return audio_example_gen(source=str(source)).external_digests()["source"]


def test_digest_of_a_folder_depends_on_names_and_times(tmp_path):
    folder = corpora.esc50(tmp_path / "esc", clips=4)
    first = digest(folder)
    assert digest(folder) == first
    os.utime(next((folder / "audio").iterdir()), (1, 1))
    touched = digest(folder)
    corpora.write_tone(folder / "audio" / "new.ogg")
    assert len({first, touched, digest(folder)}) == 3


def test_generated_corpus_has_no_digest():
    assert audio_example_gen().external_digests() == {}


def test_file_whose_name_is_not_utf8_changes_the_digest_and_is_quarantined_alone(tmp_path):
    folder = corpora.esc50(tmp_path / "esc", clips=4)
    before = digest(folder)
    bad = os.fsencode(folder / "audio") + b"/caf\xe9.ogg"
    with open(bad, "wb") as file:
        file.write(next((folder / "audio").iterdir()).read_bytes())
    assert digest(folder) != before
    run = harness.execute(audio_example_gen(source=str(folder)), tmp_path / "run")
    assert run.result.summary.endswith("1 quarantined (1 unreadable)")
    with (run.outputs["examples"] / "quarantine.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["path"], row["cause"]) == ("audio/caf\\xe9.ogg", "unreadable")
    assert row["message"] == "its name is not UTF-8; rename the file"
    assert run.result.figures["clips"] == 4


def test_a_manifest_whose_end_was_filled_with_zeros_has_a_digest(tmp_path):
    (tmp_path / "manifest.csv").write_bytes(b"path\na.wav\n")
    whole = digest(tmp_path)
    (tmp_path / "manifest.csv").write_bytes(b"path\na.wav\n" + bytes(4096))
    assert digest(tmp_path) != whole
    assert digest(tmp_path / "manifest.csv") != digest(tmp_path)


def test_digest_of_a_manifest_depends_on_its_content_and_on_its_files(tmp_path):
    corpora.write_tone(tmp_path / "clips" / "a.wav")
    manifest = tmp_path / "list.csv"
    digests = []
    for content in (b"path\nclips/a.wav\n", b"path\nclips/a.wav\nclips/b.wav\n", b"no header\n", b"path\n\xff\n"):
        manifest.write_bytes(content)
        digests.append(digest(manifest))
    manifest.write_text("path\nclips/a.wav\nclips/b.wav\n")
    assert digest(manifest) == digests[1]
    corpora.write_tone(tmp_path / "clips" / "b.wav")
    digests.append(digest(manifest))
    corpora.write_tone(tmp_path / "clips" / "a.wav", seconds=0.7)
    digests.append(digest(manifest))
    assert len(set(digests)) == 6


def test_digest_of_a_folder_covers_what_its_manifest_names_elsewhere(tmp_path):
    corpora.write_tone(tmp_path / "elsewhere" / "a.wav")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "manifest.csv").write_text(f"path\n{tmp_path}/elsewhere/a.wav\n")
    before = digest(tmp_path / "d")
    os.utime(tmp_path / "elsewhere" / "a.wav", (1, 1))
    assert digest(tmp_path / "d") != before


def test_digest_of_a_dataset_covers_all_its_files(tmp_path):
    for name in ("dataset_info.json", "features.json", "x-train.tfrecord-00000-of-00001", "label.labels.txt"):
        (tmp_path / name).write_text("{}")
    digests = {digest(tmp_path)}
    for name in ("x-train.tfrecord-00000-of-00001", "label.labels.txt", "features.json"):
        (tmp_path / name).write_text("{...}")
        digests.add(digest(tmp_path))
    assert len(digests) == 4


def test_other_files_do_not_change_the_digest(tmp_path):
    folder = corpora.esc50(tmp_path / "esc", clips=2)
    before = digest(folder)
    (folder / "README.md").write_text("an embedding and notes")
    assert digest(folder) == before


def test_digest_of_a_bucket_depends_on_names_and_lists_only(tmp_path, monkeypatch):
    folder = corpora.audioset(tmp_path / "bucket" / "as", train=4)
    audio = folder / "audio" / f"{corpora.ytid(0)}_0.wav"
    bucket.Bucket(tmp_path).install(monkeypatch)
    digests = [source_digest.digest("gs://bucket/as")]
    audio.write_bytes(b"another sound")  # Changes size and time, which the digest of a bucket does not cover.
    assert source_digest.digest("gs://bucket/as") == digests[0]
    audio.with_name("new.wav").write_bytes(b"")
    digests.append(source_digest.digest("gs://bucket/as"))
    with (folder / "eval_segments.csv").open("a") as file:
        file.write("# another line\n")
    digests.append(source_digest.digest("gs://bucket/as"))
    assert len(set(digests)) == 3
