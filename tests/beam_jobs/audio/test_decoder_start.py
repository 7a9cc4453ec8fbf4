"""How the process that decodes starts: what it imports, and whose it is."""

import subprocess
import sys

import pytest
import soundfile

from tests import corpora


def test_a_decoder_that_cannot_start_is_no_decode_error(decoder, tone, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="does not start"):
        decoder.decode(tone)


def test_the_child_does_not_import_heavy_libraries():
    program = "import sys, beam_jobs.audio.decoder_process; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = set(result.stdout.split())
    assert "beam_jobs.audio.decoder_process" in modules
    assert not modules & {"tensorflow", "apache_beam", "tensorflow_datasets", "scipy"}


@pytest.mark.parametrize("name", ["soundfile", "secrets", "json", "numpy"])
def test_what_lies_beside_the_sounds_is_not_imported(tmp_path, decoder, tone, monkeypatch, name):
    (tmp_path / f"{name}.py").write_text("raise SystemExit('code of a stranger')")
    monkeypatch.chdir(tmp_path)
    assert decoder.decode(tone).samples.size


IN_FORKED_PROCESSES = """
import os, sys
from beam_jobs import audio
from beam_jobs.audio.decoder import Decoder

decoder = Decoder(sample_rate=16000, rules=audio.Rules())
expected = [decoder.decode(path).samples for path in sys.argv[1:]]

def is_right(one):
    return all((decoder.decode(sys.argv[one]).samples == expected[one - 1]).all() for _ in range(50))

children = []
for one in (1, 2):
    children.append(os.fork())
    if not children[-1]:
        sys.exit(0 if is_right(one) else 3)  # With all finalizers.
statuses = [is_right(1), *(os.waitpid(child, 0)[1] == 0 for child in children), is_right(2)]
sys.exit(0 if all(statuses) else f"{statuses}")
"""


def test_forked_processes_do_not_share_a_child(tmp_path):
    for name, hz in (("low", 440.0), ("high", 880.0)):
        soundfile.write(tmp_path / f"{name}.wav", corpora.tone(seconds=1.0, sample_rate=16000, hertz=hz), 16000)
    paths = [str(tmp_path / "low.wav"), str(tmp_path / "high.wav")]
    done = subprocess.run(
        [sys.executable, "-c", IN_FORKED_PROCESSES, *paths], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
