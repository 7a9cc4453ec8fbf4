"""Commands that are killed, stopped and started twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from beam_jobs.audio.decoder import Decoder
from components.errors import UserError
from pipeline.serving.embedding import groups
from tests import corpora, disks
from tests.components.stored_examples import write_examples
from tests.pipeline.serving.embedding.projection import NoProgress, Projection, ProjectionLoader, embed_with
from tests.processes import wait_until

FILES = 24


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """A folder of sounds, one of which cannot be decoded."""
    folder = tmp_path_factory.mktemp("sounds") / "in"
    for i in range(FILES):
        corpora.write_tone(folder / f"{i:02d}.wav", seconds=0.1 + 0.07 * (i % 7), hertz=300.0 + 20 * i)
    (folder / "05.wav").write_bytes(b"no sound")
    return folder


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A folder of examples, which need no decoder. One has no sound."""
    rng = np.random.default_rng(0)
    clips = [(rng.integers(-9000, 9000, 2000 + 900 * (i % 7)).astype(np.int16), [], 0) for i in range(FILES)]
    clips[5] = (np.zeros(0, np.int16), [], 0)
    return write_examples(tmp_path_factory.mktemp("stored") / "examples", {"train": clips})


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch):
    monkeypatch.setattr(groups, "MOST_CLIPS", 4)


class StopAfter(NoProgress):
    """Stops the command after some clips, as a signal would."""

    def __init__(self, clips):
        self._left = clips

    def update(self, done, *, total, unit, **figures):
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt


def start(output, *paths):
    command = [sys.executable, "-m", "tests.pipeline.serving.embedding.projection", output, "4", *paths]
    return subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL)


def lines(output):
    try:
        return (output.with_name(f"{output.name}.parts") / "journal.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def kill_at(output, sounds, *, journal_lines=0, after_s=0.0):
    process = start(output, sounds)
    wait_until(lambda: lines(output) >= journal_lines or process.poll() is not None)
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def assert_same_result(folder, expected):
    assert corpora.contents(folder) == corpora.contents(expected)


@pytest.fixture
def places(tmp_path):
    """Where to write a result, and where to write the same again, each in a folder of its own."""
    for name in ("expected", "killed"):
        (tmp_path / name).mkdir()
    return tmp_path / "expected" / "x.parquet", tmp_path / "killed" / "x.parquet"


def test_killed_after_a_group_it_ends_with_the_same_bytes(sounds, places):
    expected, output = places
    embed_with(ProjectionLoader(), [sounds], expected)
    kill_at(output, sounds, journal_lines=3)
    assert lines(output) >= 3 or output.exists()  # It may have been killed after the last group.
    embed_with(ProjectionLoader(), [sounds], output)
    assert_same_result(output.parent, expected.parent)


@pytest.mark.parametrize("suffix", [".parquet", ".npz", ".csv"])
def test_stopped_and_continued_it_ends_with_the_same_bytes(stored, places, suffix):
    expected, output = (path.with_suffix(suffix) for path in places)
    embed_with(ProjectionLoader(), [stored], expected)
    for clips in (10, 1, 7):
        with pytest.raises(KeyboardInterrupt):
            embed_with(ProjectionLoader(), [stored], output, progress=StopAfter(clips))
    assert lines(output) == 4
    embed_with(ProjectionLoader(), [stored], output)
    assert_same_result(output.parent, expected.parent)


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_bytes(sounds, places):
    expected, output = places
    embed_with(ProjectionLoader(), [sounds], expected)
    rng = random.Random(0)
    for _ in range(10):
        for _ in range(3):
            kill_at(output, sounds, journal_lines=rng.randrange(8), after_s=rng.uniform(0, 0.3))
        assert start(output, sounds).wait() == 0
        assert_same_result(output.parent, expected.parent)
        output.unlink()


def test_what_is_finished_is_neither_decoded_nor_embedded_again(sounds, tmp_path, monkeypatch):
    decoded = []
    decode_file = Decoder.decode_file
    monkeypatch.setattr(
        Decoder,
        "decode_file",
        lambda self, path, *args, **kw: decoded.append(path) or decode_file(self, path, *args, **kw),
    )
    output = tmp_path / "x.npz"
    with pytest.raises(KeyboardInterrupt):
        embed_with(ProjectionLoader(), [sounds], output, progress=StopAfter(10))
    decoded.clear()
    done = embed_with(ProjectionLoader(), [sounds], output)
    assert sorted(os.path.basename(path) for path in decoded) == [f"{i:02d}.wav" for i in range(8, FILES)]
    assert done.clips == FILES - 1
    assert [os.path.basename(entry.file) for entry in done.quarantined] == ["05.wav"]


def test_stopped_while_the_output_is_written_nothing_is_embedded_again(stored, tmp_path, monkeypatch):
    output = tmp_path / "x.npz"
    monkeypatch.setattr("os.fsync", stop_at_output)
    with pytest.raises(KeyboardInterrupt):
        embed_with(ProjectionLoader(), [stored], output)
    monkeypatch.undo()
    monkeypatch.setattr(groups, "MOST_CLIPS", 4)
    monkeypatch.setattr(Projection, "__init__", None)  # It is not loaded.
    assert embed_with(ProjectionLoader(), [stored], output).clips == FILES - 1
    assert sorted(os.listdir(tmp_path)) == ["x.npz", "x.quarantined.csv"]


def stop_at_output(descriptor):
    if os.readlink(f"/proc/self/fd/{descriptor}").endswith("output.new"):
        raise KeyboardInterrupt


def test_a_line_that_was_not_written_to_its_end_does_not_count(stored, places):
    expected, output = places
    embed_with(ProjectionLoader(), [stored], expected)
    for clips in (10, 4):
        with pytest.raises(KeyboardInterrupt):
            embed_with(ProjectionLoader(), [stored], output, progress=StopAfter(clips))
        with (output.parent / "x.parquet.parts" / "journal.jsonl").open("ab") as file:
            file.write(b'{"rows": 4, "cl')
        (output.parent / "x.parquet.parts" / "00004.arrow").write_bytes(b"half")
    embed_with(ProjectionLoader(), [stored], output)
    assert_same_result(output.parent, expected.parent)


OTHERS = {
    "the model, since the content of a projection has changed": lambda stored: {"loader": ProjectionLoader(seed=1)},
    "the model, a projection before and models/4 now": lambda stored: {
        "loader": ProjectionLoader(seed=1, source="models/4")
    },
    "what runs the model, numpy 1 before and numpy 2 now": lambda stored: {
        "loader": ProjectionLoader(runs_on="numpy 2")
    },
    "the files; their number": lambda stored: {"paths": [stored, stored]},
    "--windows; --batch-size": lambda stored: {"row": "window", "batch_size": 3},
}


@pytest.mark.parametrize("names", OTHERS)
def test_what_another_command_has_finished_is_neither_used_nor_lost(stored, tmp_path, names):
    output = tmp_path / "x.csv"
    with pytest.raises(KeyboardInterrupt):
        embed_with(ProjectionLoader(), [stored], output, progress=StopAfter(10))
    before = corpora.contents(tmp_path)
    other = {"loader": ProjectionLoader(), "paths": [stored], **OTHERS[names](stored)}
    with pytest.raises(
        UserError, match=rf"with other parameters \({names}\): repeat that command .* --restart"
    ) as raised:
        embed_with(output=output, **other)
    assert str(raised.value).startswith(f"{tmp_path}/x.csv.parts holds what another command has finished")
    assert corpora.contents(tmp_path) == before | {"x.csv.parts/lock": corpora.contents(tmp_path)["x.csv.parts/lock"]}
    embed_with(output=output, restart=True, **other)
    assert not (tmp_path / "x.csv.parts").exists()


def test_what_an_earlier_version_has_finished_is_not_to_be_continued(stored, tmp_path):
    """Its journal has other names."""
    output, journal = tmp_path / "x.csv", tmp_path / "x.csv.parts" / "journal.jsonl"
    with pytest.raises(KeyboardInterrupt):
        embed_with(ProjectionLoader(), [stored], output, progress=StopAfter(10))
    journal.write_text(journal.read_text().replace('"library"', '"tensorflow"', 1))
    with pytest.raises(UserError, match=r"an earlier version of Diptych has finished of this output: give --restart"):
        embed_with(ProjectionLoader(), [stored], output)
    assert embed_with(ProjectionLoader(), [stored], output, restart=True).clips == FILES - 1


def test_another_command_that_has_finished_nothing_is_forgotten(stored, tmp_path):
    """For example, its model could not be loaded, and is repaired."""

    class Damaged(ProjectionLoader):
        def load(self):
            raise UserError("damaged")

    output = tmp_path / "x.csv"
    with pytest.raises(UserError, match="damaged"):
        embed_with(Damaged(seed=1), [stored], output)
    embed_with(ProjectionLoader(), [stored], output)
    assert not (tmp_path / "x.csv.parts").exists()


def test_a_damaged_journal_is_one_sentence(stored, tmp_path):
    (tmp_path / "x.csv.parts").mkdir()
    (tmp_path / "x.csv.parts" / "journal.jsonl").write_bytes(b"\0\0\0\n")
    with pytest.raises(UserError, match="journal.jsonl is damaged: give --restart"):
        embed_with(ProjectionLoader(), [stored], tmp_path / "x.csv")
    embed_with(ProjectionLoader(), [stored], tmp_path / "x.csv", restart=True)


def test_files_of_the_user_in_the_folder_stay(stored, tmp_path):
    (tmp_path / "x.csv.parts").mkdir()
    (tmp_path / "x.csv.parts" / "mine.txt").write_text("mine")
    embed_with(ProjectionLoader(), [stored], tmp_path / "x.csv")
    assert os.listdir(tmp_path / "x.csv.parts") == ["mine.txt"]


def test_a_second_process_is_kept_out(sounds, tmp_path):
    output = tmp_path / "x.csv"
    long = corpora.write_silence(tmp_path / "long.wav", hours=6)
    process = start(output, long)
    try:
        wait_until(lambda: lines(output))
        with pytest.raises(UserError, match=rf"Another diptych embed \(process {process.pid} on .*\) is writing"):
            embed_with(ProjectionLoader(), [sounds], output)
    finally:
        process.kill()
        process.communicate()


def test_a_full_disk_is_one_sentence_and_the_same_command_continues(stored, tmp_path):
    with disks.small(tmp_path / "disk", size="64k") as disk:
        ballast = disks.fill(disk, leave=12_000)
        for _ in range(2):
            with pytest.raises(UserError, match=r"no space left on the device\): make room there"):
                embed_with(ProjectionLoader(), [stored], disk / "x.parquet", row="window")
        ballast.unlink()
        embed_with(ProjectionLoader(), [stored], disk / "x.parquet", row="window")
        assert sorted(os.listdir(disk)) == ["x.parquet", "x.quarantined.csv"]


def test_if_nothing_can_be_decoded_the_table_says_why(sounds, tmp_path):
    with pytest.raises(UserError, match=r"None of the files could be decoded \(.*/x.quarantined.csv says why\)"):
        embed_with(ProjectionLoader(), [sounds / "05.wav"], tmp_path / "x.csv")
    assert os.listdir(tmp_path) == ["x.quarantined.csv"]
    embed_with(ProjectionLoader(), [sounds / "00.wav"], tmp_path / "x.csv")
    assert os.listdir(tmp_path) == ["x.csv"]


def test_the_journal_names_its_parameters(stored, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        embed_with(ProjectionLoader(), [stored], tmp_path / "x.csv", progress=StopAfter(10))
    header = (tmp_path / "x.csv.parts" / "journal.jsonl").read_text().splitlines()[0]
    names = ["model", "inputs", "clips", "row", "batch_size", "library", "source", "version"]
    assert list(json.loads(header)) == names


def test_a_model_that_was_moved_is_the_same(stored, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        embed_with(ProjectionLoader(source="models/4"), [stored], tmp_path / "x.csv", progress=StopAfter(10))
    done = embed_with(ProjectionLoader(source="moved/4"), [stored], tmp_path / "x.csv")
    assert done.clips == FILES - 1
