"""Memory of embedding long recordings: `python -m tests.benchmarks.embed_memory`.

`diptych embed` embeds recordings of 1 minute to 5 hours, each in a fresh process. Its peak is that of all its processes
together. The signature of the SavedModel gets up to an hour of audio in one call, in a fresh process, too.
"""

import argparse
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import soundfile

from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS

SOURCE_RATE = 44100
WIDTH, CROP_S = 0.125, 2.5  # Those of the preset `tiny`.
EMBED_MINUTES = (1, 10, 60, 300)
CALL_MINUTES = (1, 10, 60)
_MODULE = "tests.benchmarks.embed_memory"


def main() -> None:
    """Runs the command, or one call in a process that the command started."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, nargs="*", default=EMBED_MINUTES, help="lengths for `diptych embed`")
    parser.add_argument("--call_minutes", type=int, nargs="*", default=CALL_MINUTES, help="lengths for a signature")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    parser.add_argument("--export", help=argparse.SUPPRESS)
    parser.add_argument("--call", nargs=3, metavar=("SIGNATURE", "MODEL", "MINUTES"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.export:
        _export(flags.export)
    elif flags.call:
        signature, model, minutes = flags.call
        print(json.dumps(_call(signature, model, minutes=int(minutes))))
    else:
        with tempfile.TemporaryDirectory() as folder:
            _measure(pathlib.Path(folder), flags)


def _measure(folder: pathlib.Path, flags: argparse.Namespace) -> None:
    model = folder / "model"
    subprocess.run([sys.executable, "-m", _MODULE, "--export", model], check=True)
    sounds = measuring.sounds(seconds=10.0, sample_rate=SOURCE_RATE)
    figures = {
        "model": f"encoders of width {WIDTH:g} and sub-clips of {CROP_S:g} s",
        "source": f"FLAC, {SOURCE_RATE:,} Hz, stereo",
        "embed": {str(minutes): _embed(folder, model, sounds, minutes=minutes) for minutes in flags.minutes},
        "call": {
            str(minutes): measuring.in_a_fresh_process(_MODULE, "--call", "serving_default", model, minutes)
            for minutes in flags.call_minutes
        },
    }
    measuring.save("embed_memory", figures, results=flags.results)


def _embed(folder: pathlib.Path, model: pathlib.Path, sounds: list[np.ndarray], *, minutes: int) -> dict[str, int]:
    recording = folder / "recording.flac"
    with soundfile.SoundFile(recording, "w", SOURCE_RATE, 2) as file:
        for sound in itertools.islice(itertools.cycle(sounds), 6 * minutes):
            file.write(np.stack([sound, sound // 2], axis=1))
    command = ["-m", "pipeline.cli", "embed", "--model", model, "--output", folder / "x.npz", recording]
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, start_new_session=True)
    peak_mib = measuring.peak_of_session(process)
    if process.returncode:
        raise SystemExit(process.returncode)
    return {"peak_mib": peak_mib, "seconds": round(time.perf_counter() - started)}


def _export(folder: str) -> None:
    # Imported here because the parent process, which only waits, needs none of this.
    import keras

    from components.exporter import saved_model
    from models import dual
    from models.config import ModelConfig

    keras.utils.set_random_seed(0)
    saved_model.export(dual.DualEncoder(ModelConfig(width=WIDTH, crop_seconds=CROP_S)), pathlib.Path(folder))


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
