"""Memory of embedding long recordings: `python -m tests.benchmarks.embed_memory`.

For the untrained model of each preset, `diptych embed` embeds recordings of 1 minute to 5 hours, each in a fresh
process. Its peak is that of all its processes together. The signature of the SavedModel gets up to an hour of audio in
one call, in a fresh process, too.
"""

import argparse
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import soundfile

from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS

SOURCE_RATE = 44100
MINUTES = {"tiny": (1, 10, 60, 300), "small": (1, 3), "base": (1, 3)}
"""Preset -> lengths of recordings. The wide encoders take minutes for a few minutes of sound on two cores."""
LONGEST_CALL_MINUTES = 60
_MODULE = "tests.benchmarks.embed_memory"


def main() -> None:
    """Runs the command, or one call in a process that the command started."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="*", default=list(MINUTES), help="presets whose models are measured")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    parser.add_argument("--export", nargs=2, metavar=("PRESET", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--call", nargs=3, metavar=("SIGNATURE", "MODEL", "MINUTES"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.export:
        _export(*flags.export)
        print("{}")
    elif flags.call:
        signature, model, minutes = flags.call
        print(json.dumps(_call(signature, model, minutes=int(minutes))))
    else:
        with tempfile.TemporaryDirectory() as folder:
            _measure(pathlib.Path(folder), flags)


def _measure(folder: pathlib.Path, flags: argparse.Namespace) -> None:
    sounds = measuring.sounds(seconds=10.0, sample_rate=SOURCE_RATE)
    figures = {
        "source": f"FLAC, {SOURCE_RATE:,} Hz, stereo",
        "presets": {preset: _peaks(folder / preset, sounds, preset=preset) for preset in flags.presets},
    }
    measuring.save("embed_memory", figures, results=flags.results)


def _peaks(folder: pathlib.Path, sounds: list[np.ndarray], *, preset: str) -> dict[str, dict[str, dict[str, int]]]:
    """Returns what the command and the signature take with the model of a preset, by minutes."""
    model, lengths = folder / "model", MINUTES[preset]
    measuring.in_a_fresh_process(_MODULE, "--export", preset, model)
    peaks = {
        "embed": {str(minutes): _embed(folder, model, sounds, minutes=minutes) for minutes in lengths},
        "call": {
            str(minutes): measuring.in_a_fresh_process(_MODULE, "--call", "serving_default", model, minutes)
            for minutes in lengths
            if minutes <= LONGEST_CALL_MINUTES
        },
    }
    print(preset, peaks, flush=True)
    return peaks


def _embed(folder: pathlib.Path, model: pathlib.Path, sounds: list[np.ndarray], *, minutes: int) -> dict[str, int]:
    recording = folder / "recording.flac"
    with soundfile.SoundFile(recording, "w", SOURCE_RATE, 2) as file:
        for sound in itertools.islice(itertools.cycle(sounds), 6 * minutes):
            file.write(np.stack([sound, sound // 2], axis=1))
    command = ["-m", "pipeline.cli", "embed", "--model", model, "--output", folder / "x.npz", recording]
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, start_new_session=True)
    peak_mib = measuring.peak_of_session(process)
    if process.returncode:
        raise SystemExit(process.returncode)
    return {"peak_mib": peak_mib}


def _export(preset: str, folder: str) -> None:
    # Imported here because the parent process, which only waits, needs none of this.
    import keras

    from components.exporter import saved_model
    from models import dual
    from pipeline.configs import presets

    keras.utils.set_random_seed(0)
    saved_model.export(dual.DualEncoder(presets.config(preset).trainer.model), pathlib.Path(folder))


def _call(signature: str, model: str, *, minutes: int) -> dict[str, int]:
    # Imported here because the parent process needs no TensorFlow.
    import tensorflow as tf

    samples = minutes * 60 * measuring.SAMPLE_RATE
    loaded = tf.saved_model.load(model)
    if signature == "model":
        loaded(tf.zeros((1, samples)))
    elif signature == "wav_bytes":
        # Imported here because the other calls need none of this.
        from components.exporter import wav

        silence = np.zeros(samples, np.int16)
        loaded.signatures[signature](wav_bytes=tf.constant([wav.encode(silence, rate=measuring.SAMPLE_RATE)]))
    else:
        name = "inputs" if signature == "inputs" else "audio"
        loaded.signatures[signature](**{name: tf.zeros((1, samples))})
    return {"peak_mib": measuring.peak_kib() // 1024, "audio_mib": round(samples * 4 / 2**20)}


if __name__ == "__main__":
    main()
