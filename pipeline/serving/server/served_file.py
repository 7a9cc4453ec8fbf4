"""A `.tflite` or `.onnx` file in memory, with the signatures of a SavedModel that need no more than windows."""

import os
from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf

from beam_jobs import error_text
from beam_jobs.embedding import windows
from beam_jobs.embedding.embedder import BATCH_SIZE
from components import load_errors
from diptych.runtimes import Runtime
from diptych.runtimes.window_embedder import WindowEmbedder
from pipeline.serving.embedding.exported_file import ExportedFile
from pipeline.serving.server.served import DEFAULT_SIGNATURE, ServedVersion, Signature, Tensor
from pipeline.serving.server.versions import Version

_TIMES = ("start_s", "end_s")
_PLATFORMS = {".tflite": "litert", ".onnx": "onnxruntime_onnx"}


def load(version: Version) -> ServedVersion:
    """Loads a file and embeds a window with it.

    Raises:
        UserError: It is missing or damaged, not the Exporter's, does not run, or its runtime is not installed.
    """
    file = ExportedFile(version.place)
    file.check()
    functions = _Functions(file.runtime)
    audio = Tensor(dtype=tf.float32, shape=(None, None))
    signatures = {
        DEFAULT_SIGNATURE: Signature(
            name=DEFAULT_SIGNATURE,
            inputs={"audio": audio},
            outputs={name: Tensor(dtype=tf.float32, shape=(None, dim)) for name, dim in functions.dims.items()},
            _function=functions.means,
        ),
        "windows": Signature(
            name="windows",
            inputs={"audio": audio},
            outputs={
                **{name: Tensor(dtype=tf.float32, shape=(None, None, dim)) for name, dim in functions.dims.items()},
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
        platform=_PLATFORMS[os.path.splitext(version.place)[1].lower()],
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

    Attributes:
        info: Describes the embeddings.
        dims: Name of an embedding -> size.
    """

    def __init__(self, runtime: Runtime):
        self.info = runtime.info
        self.dims = {"embedding": runtime.info.dim, **runtime.info.dims}
        self._embedder = WindowEmbedder(runtime, dims=self.dims)

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
        sounds = enumerate(map(windows.ArraySound, audio))
        try:
            pieces = list(windows.embed(sounds, self._embedder, batch_size=BATCH_SIZE))
        except MemoryError:
            raise
        except Exception as error:  # Each runtime has errors of its own.
            raise tf.errors.InternalError(None, None, error_text.first_line(error)) from error
        shape, rate = (batch, len(self.info.framing.starts(samples))), self.info.sample_rate
        return {
            **{
                name: _joined((piece.vectors[name] for piece in pieces), shape=(*shape, dim))
                for name, dim in self.dims.items()
            },
            "start_s": _joined((piece.starts / rate for piece in pieces), shape=shape),
            "end_s": _joined((piece.ends / rate for piece in pieces), shape=shape),
        }

    def means(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the means of `windows`, float32 (batch, dim)."""
        outputs = self.windows(inputs)
        return {name: values.mean(axis=1) for name, values in outputs.items() if name not in _TIMES}


def _joined(arrays: Iterable[np.ndarray], *, shape: tuple[int, ...]) -> np.ndarray:
    none = np.empty((0, *shape[2:]), np.float32)  # A batch may be empty.
    return np.concatenate([none, *arrays], dtype=np.float32).reshape(shape)


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
