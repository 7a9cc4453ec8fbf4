"""A `.tflite` or `.onnx` file in memory, with the signatures of a SavedModel that need no more than windows."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from beam_jobs import error_text
from components import load_errors
from diptych.runtimes import Runtime
from pipeline.serving.embedding.exported_file import ExportedFile
from pipeline.serving.server.served import DEFAULT_SIGNATURE, ServedVersion, Signature, Tensor
from pipeline.serving.server.versions import Version

_TIMES = ("start_s", "end_s")


def load(version: Version) -> ServedVersion:
    """Loads a file and embeds a window with it.

    Raises:
        UserError: It is missing or damaged, not the Exporter's, does not run, or its runtime is not installed.
    """
    file = ExportedFile(version.place)
    file.check()
    functions = _Functions(file.runtime)
    dims = {"embedding": functions.info.dim, **functions.info.dims}
    audio = Tensor(dtype=tf.float32, shape=(None, None))
    signatures = {
        DEFAULT_SIGNATURE: Signature(
            name=DEFAULT_SIGNATURE,
            inputs={"audio": audio},
            outputs={name: Tensor(dtype=tf.float32, shape=(None, dim)) for name, dim in dims.items()},
            _function=functions.means,
        ),
        "windows": Signature(
            name="windows",
            inputs={"audio": audio},
            outputs={
                **{name: Tensor(dtype=tf.float32, shape=(None, None, dim)) for name, dim in dims.items()},
                **dict.fromkeys(_TIMES, audio),
            },
            _function=functions.windows,
        ),
    }
    with load_errors.as_user_errors(
        f"--model: {version.place} is loaded, but does not run", way_out="copy it again, or export it again"
    ):
        functions.means({"audio": np.zeros((1, functions.info.crop_samples), np.float32)})
    return ServedVersion(
        number=version.number,
        place=version.place,
        digest=file.digest(),
        info=functions.info,
        signatures=signatures,
        signature_def={name: _described(signature) for name, signature in signatures.items()},
        _root=functions,
    )


class _Functions:
    """What a SavedModel does in its graph: it cuts sounds of any length into windows, and averages over them.

    Args:
        runtime: Embeds windows.
    """

    def __init__(self, runtime: Runtime):
        self.info = runtime.info
        self._runtime = runtime

    def windows(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Embeds the windows of sounds.

        Args:
            inputs: `audio`, (batch, samples) in [-1, 1].

        Returns:
            Name of an embedding -> float32 (batch, windows, dim); `start_s` and `end_s`, float32 (batch, windows).

        Raises:
            tf.errors.InvalidArgumentError: The sounds have no samples.
            tf.errors.InternalError: The runtime fails.
        """
        audio = np.asarray(inputs["audio"], np.float32)
        batch, samples = audio.shape
        if not samples:
            raise tf.errors.InvalidArgumentError(None, None, "audio has no samples")
        framing = self.info.framing
        size = framing.window_samples
        starts = np.array(framing.starts(samples))
        if samples < size:
            audio = np.tile(audio, (1, -(-size // samples)))
        of_windows = [self._of_one_window(audio[:, start : start + size]) for start in starts]
        outputs = {name: np.concatenate([one[name] for one in of_windows], axis=1) for name in of_windows[0]}
        for name, at in zip(_TIMES, (starts, np.minimum(starts + size, samples)), strict=True):
            outputs[name] = np.tile((at / framing.sample_rate).astype(np.float32), (batch, 1))
        return outputs

    def _of_one_window(self, audio: np.ndarray) -> Mapping[str, np.ndarray]:
        try:
            return self._runtime.windows(audio)
        except MemoryError:
            raise
        except Exception as error:  # Each runtime has errors of its own.
            raise tf.errors.InternalError(None, None, error_text.first_line(error)) from error

    def means(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the means of `windows`, float32 (batch, dim)."""
        outputs = self.windows(inputs)
        return {name: values.mean(axis=1) for name, values in outputs.items() if name not in _TIMES}


def _described(signature: Signature) -> dict[str, object]:
    """Describes a signature as TensorFlow Serving does."""
    return {
        "inputs": {name: _tensor(name, tensor) for name, tensor in signature.inputs.items()},
        "outputs": {name: _tensor(name, tensor) for name, tensor in signature.outputs.items()},
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }


def _tensor(name: str, tensor: Tensor) -> dict[str, object]:
    sizes = [-1 if size is None else size for size in tensor.shape or ()]
    shape = {"dim": [{"size": str(size), "name": ""} for size in sizes], "unknown_rank": False}
    return {"name": name, "dtype": "DT_FLOAT", "tensor_shape": shape}
