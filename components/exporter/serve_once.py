"""Runs a SavedModel once, as a server without Diptych's code does.

The InfraValidator runs this file as a script in a fresh process. It imports TensorFlow and NumPy only:

    python serve_once.py SAVED_MODEL AUDIO.npy LONG_SAMPLES RESULTS.npz

AUDIO.npy holds float32 (clips, samples) in [-1, 1]. At most `CLIPS_AT_A_TIME` of them are embedded in one batch.
LONG_SAMPLES is the length, in samples, of a clip so long that the model embeds its sub-clips in several portions.
RESULTS.npz gets these arrays:

    clips/NAME     each output of the signature serving_default
    windows/NAME   each output of the signature windows
    alone          `embedding` of each clip in a batch of its own
    silence        `embedding` of one silent clip
    short_clip     `embedding` of the first samples of the first clip
    long_clip/NAME each output of serving_default for all clips one after the other, repeated to LONG_SAMPLES
    metadata       the string that the model's function `metadata` returns
    golden/KEY     the golden vectors in the SavedModel's folder, `components.exporter.golden` says which
    batch/KEY      the same, computed in a batch
    one_by_one/KEY the same, computed for each sound alone
    ms/BATCH       latency in milliseconds of one_clip and of batch_of_N

If the model fails, the last line of stdout says how, as `CHECK: reason` with the name of the check that it fails, and
the exit status is `MODEL_FAILED`. If memory ends, the exit status is `OUT_OF_MEMORY`.
"""

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

MODEL_FAILED, OUT_OF_MEMORY = 3, 4
CLIPS_AT_A_TIME = 4
SIGNATURES = ("serving_default", "windows", "frames", "wav_bytes", "inputs")
GOLDEN_FILE = "assets.extra/golden.npz"
GOLDEN_INPUTS = {
    "serving_default": ("audio", "audio"),
    "windows": ("audio", "audio"),
    "frames": ("audio", "short_audio"),
    "wav_bytes": ("wav_bytes", "wav"),
    "inputs": ("inputs", "audio"),
    "__call__": ("waveform", "audio"),
}
"""Signature, or the model itself -> its input, and the golden array that it gets."""

_SHORT_SAMPLES = 1000
_REPEATS = 5


def main(saved_model: str, audio_file: str, long_samples: str, results_file: str) -> None:
    """Loads the SavedModel, calls its signatures and writes the results."""
    with _failing("loads", "it cannot be loaded"):
        model = tf.saved_model.load(saved_model)
    signatures = model.signatures
    missing = [name for name in SIGNATURES if name not in signatures]
    if missing:
        _fail("outputs", f"there is no signature {' and no '.join(missing)}, only {', '.join(signatures) or 'none'}")
    audio = np.load(audio_file)
    results = {}
    for name, prefix in (("serving_default", "clips"), ("windows", "windows")):
        with _failing("outputs", f"the signature {name} fails"):
            for output, values in _in_batches(signatures[name], audio).items():
                results[f"{prefix}/{output}"] = values

    def embedding(batch: np.ndarray) -> np.ndarray:
        return signatures["serving_default"](audio=tf.constant(batch))["embedding"].numpy()

    if "clips/embedding" in results:  # Otherwise the check of the outputs says what is missing.
        batch = audio[:CLIPS_AT_A_TIME]
        with _failing("alone_as_in_a_batch", "a clip alone fails"):
            results["alone"] = np.concatenate([embedding(clip[None]) for clip in audio])
        with _failing("silence", "silence fails"):
            results["silence"] = embedding(np.zeros_like(audio[:1]))
        with _failing("short_clip", f"a clip of {_SHORT_SAMPLES} samples fails"):
            results["short_clip"] = embedding(audio[:1, :_SHORT_SAMPLES])
        with _failing("long_clip", f"a clip of {long_samples} samples fails"):
            long_clip = np.resize(audio, (1, int(long_samples)))
            for output, values in _in_batches(signatures["serving_default"], long_clip).items():
                results[f"long_clip/{output}"] = values
        with _failing("metadata", "the function metadata fails"):
            results["metadata"] = model.metadata().numpy()
        with _failing("golden", "the golden vectors cannot be computed"):
            results |= _golden(functions(signatures, model), saved_model)
        results["ms/one_clip"] = _latency_ms(embedding, audio[:1])
        results[f"ms/batch_of_{len(batch)}"] = _latency_ms(embedding, batch)
    np.savez(results_file, **results)


def functions(
    signatures: Mapping[str, Callable[..., dict[str, tf.Tensor]]], model: Callable[..., tf.Tensor]
) -> dict[str, Callable[..., dict[str, tf.Tensor]]]:
    """Returns the functions of `GOLDEN_INPUTS`: the signatures, and the model itself, whose output gets a name."""
    return {**signatures, "__call__": lambda waveform: {"embedding": model(waveform)}}


def golden_outputs(
    functions: Mapping[str, Callable[..., dict[str, tf.Tensor]]], golden: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Returns SIGNATURE/OUTPUT -> what each of the `functions` makes of the golden sounds, all in a batch."""
    outputs = {}
    for signature in GOLDEN_INPUTS:
        name, values = golden_input(signature, golden)
        for output, tensor in functions[signature](**{name: tf.constant(values)}).items():
            outputs[f"{signature}/{output}"] = tensor.numpy()
    return outputs


def golden_input(signature: str, golden: Mapping[str, np.ndarray]) -> tuple[str, np.ndarray]:
    """Returns the name of a signature's input, and the golden sounds as it takes them."""
    name, key = GOLDEN_INPUTS[signature]
    values = golden[key]
    if values.dtype == np.uint8:  # Files, which may end in zeros.
        values = np.array([row.tobytes() for row in values], object)
    return name, values


def _golden(called: Mapping[str, Callable[..., dict[str, tf.Tensor]]], saved_model: str) -> dict[str, np.ndarray]:
    with tf.io.gfile.GFile(os.path.join(saved_model, GOLDEN_FILE), "rb") as file:
        golden = dict(np.load(io.BytesIO(file.read())))
    inputs = {key for _, key in GOLDEN_INPUTS.values()}
    alone = [
        golden_outputs(called, {key: golden[key][row : row + 1] for key in inputs})
        for row in range(len(golden["audio"]))
    ]
    results = {f"golden/{key}": values for key, values in golden.items()}
    results |= {f"batch/{key}": values for key, values in golden_outputs(called, golden).items()}
    return results | {f"one_by_one/{key}": np.concatenate([row[key] for row in alone]) for key in alone[0]}


def _in_batches(signature: Callable[..., dict[str, tf.Tensor]], audio: np.ndarray) -> dict[str, np.ndarray]:
    starts = range(0, len(audio), CLIPS_AT_A_TIME)
    batches = [signature(audio=tf.constant(audio[start : start + CLIPS_AT_A_TIME])) for start in starts]
    return {name: np.concatenate([batch[name].numpy() for batch in batches]) for name in batches[0]}


@contextlib.contextmanager
def _failing(check: str, what: str) -> Iterator[None]:
    """Ends the process if the block raises an error: the model fails the check, or memory has ended."""
    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError):
        sys.exit(OUT_OF_MEMORY)
    except Exception as error:  # Whatever a model does wrong.
        reason = (str(error).strip().splitlines() or [""])[0]
        _fail(check, f"{what}: {type(error).__name__}: {reason}")


def _fail(check: str, reason: str) -> None:
    print(f"{check}: {reason}")
    sys.exit(MODEL_FAILED)


def _latency_ms(embedding: Callable[[np.ndarray], np.ndarray], batch: np.ndarray) -> float:
    """Returns the median latency of a few calls. Every shape has been called before, so no call is the first one."""
    latencies = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        embedding(batch)
        latencies.append(1000 * (time.perf_counter() - start))
    return np.median(latencies)


if __name__ == "__main__":
    main(*sys.argv[1:])
