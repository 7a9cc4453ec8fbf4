"""Odd files among good ones: none costs `diptych embed` the others."""

import csv
import os
import shutil
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from beam_jobs import audio
from beam_jobs.audio import parallel
from components.exporter import saved_model
from models import dual, subclips
from models.config import ModelConfig
from pipeline import cli
from pipeline.commands import exit_status
from tests import corpora, users
from tests.processes import decoders_of, signal_readers


def test_no_odd_file_costs_the_others(model, exported, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(parallel, "RULES", audio.Rules(timeout_s=2.0))
    folder = tmp_path / "in"
    corpora.write_tone(folder / "1.wav", seconds=0.7)
    reasons = {}

    def odd(name, reason):
        reasons[str(folder / name)] = reason
        return folder / name

    odd("a.wav", "unreadable: ").write_bytes(b"")
    odd("b.wav", "unreadable: ").write_bytes(b"<html>not found</html>")
    corpora.write_format(odd("c.flac", "truncated: "), seconds=5.0)
    corpora.cut_short(folder / "c.flac")
    os.mkfifo(odd("d.wav", "unreadable: it is a pipe, a socket or a device, not a file"))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(odd("e.wav", "unreadable: it is a pipe, a socket or a device, not a file")))
    soundfile.write(odd("f.wav", "non-finite: holds NaN"), np.full(8000, np.nan), 16000, subtype="FLOAT")
    corpora.write_silence(odd("g.wav", "crashed: the decoder crashed twice on it: Segmentation fault"), hours=6)
    corpora.write_silence(odd("h.wav", "timed out: no result after 2 s"), hours=6)
    wave = np.stack(8 * [corpora.tone(seconds=0.7, sample_rate=96000)], axis=1)
    soundfile.write(folder / "i.wav", wave, 96000)
    corpora.write_tone(folder / "j.wav", seconds=0.7)
    earlier = set(decoders_of(os.getpid()))  # Of other tests.
    threads = [
        signal_readers(folder / "g.wav", signal.SIGSEGV, times=2),
        signal_readers(folder / "h.wav", signal.SIGSTOP, times=1),
    ]
    paths = [str(path) for path in sorted(folder.iterdir())]
    command = ["embed", "--model", exported, "--output", str(tmp_path / "x.npz"), "--max-quarantine", "72%", *paths]
    assert cli.main(command) == exit_status.TOO_MANY_QUARANTINED
    for thread in threads:
        thread.join()
    printed = capsys.readouterr()
    assert printed.out == f"3 files embedded, 8 quarantined, in {tmp_path / 'x.npz'}\n"
    lines = [line for line in printed.err.splitlines() if " quarantined: " in line]
    for (path, reason), line in zip(sorted(reasons.items()), sorted(lines), strict=True):
        assert line.startswith(f"diptych: {path} quarantined: {reason}")
    assert f"diptych: {tmp_path}/x.quarantined.csv lists what was quarantined" in printed.err
    with (tmp_path / "x.quarantined.csv").open() as file:
        table = {row["file"]: f"{row['cause']}: {row['message']}" for row in csv.DictReader(file)}
    assert table.keys() == reasons.keys()
    assert all(table[path].startswith(reason) for path, reason in reasons.items())
    with np.load(tmp_path / "x.npz") as rows:
        assert [path.rsplit("/")[-1] for path in rows["path"]] == ["1.wav", "i.wav", "j.wav"]
        np.testing.assert_allclose(rows["embedding"][0], rows["embedding"][2], rtol=1e-5)
        expected = subclips.embed_clips(model, corpora.tone(seconds=0.7).astype(np.float32)[None])["waveform"][0]
        np.testing.assert_allclose(rows["waveform"], np.stack(3 * [expected]), atol=2e-3)
    assert set(decoders_of(os.getpid())) <= earlier


@pytest.mark.slow
@users.needs_root
def test_a_file_and_a_folder_without_permission_to_read_cost_only_themselves(exported, open_path):
    shutil.copytree(exported, open_path / "model")
    (open_path / "model").chmod(0o755)
    for name in ("a.wav", "b.wav"):
        corpora.write_tone(open_path / "in" / name)
    corpora.write_tone(open_path / "in" / "closed" / "c.wav")
    for name in ("a.wav", "closed"):
        (open_path / "in" / name).chmod(0)
    output = users.folder_of_unknown(open_path / "out") / "x.npz"
    done = users.run_as_unknown("embed", "--model", open_path / "model", "--output", output, open_path / "in")
    assert done.returncode == 0, done.stderr
    assert "1 files embedded, 2 quarantined" in done.stdout
    assert f"diptych: {open_path}/in/a.wav quarantined: unreadable: [Errno 13] Permission denied" in done.stderr
    assert f"diptych: {open_path}/in/closed/ quarantined: unreadable: Permission denied" in done.stderr


_PROGRAM = """
import sys
from pipeline import cli
from tests.benchmarks import measuring
status = cli.main(sys.argv[1:])
print(measuring.peak_kib())
sys.exit(status)
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["flac", "m4a"])
def test_memory_does_not_grow_with_the_length_of_a_file(tmp_path, suffix):
    saved_model.export(dual.DualEncoder(ModelConfig(width=1 / 16, crop_seconds=2.0)), tmp_path / "model")
    peaks = []
    for minutes in (3, 30):
        path = tmp_path / f"{minutes}.{suffix}"
        corpora.write_format(path, seconds=60.0 * minutes)
        command = ["embed", "--model", tmp_path / "model", "--output", tmp_path / "x.npz", path]
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *map(str, command)], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout.split()[-1]))
    # The samples of 27 more minutes take 51 MiB as int16, and 102 MiB as float32.
    assert peaks[1] - peaks[0] < 40 * 1024
