"""A version of the model in memory, whose signatures take and return NumPy arrays."""

import dataclasses
import io
import wave
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
from etils import epath

from beam_jobs import storage
from components.embedding_info import EmbeddingInfo
from pipeline.serving.embedding import exported_model
from pipeline.serving.server.versions import Version

DEFAULT_SIGNATURE = "serving_default"
_INT16_BYTES = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output of a signature.

    Attributes:
        dtype: Its type; `tf.string` for bytes.
        shape: Its shape, with None for what may vary; None as a whole if even the number of dimensions may.
    """

    dtype: tf.DType
    shape: tuple[int | None, ...] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signature:
    """A signature of the model.

    Attributes:
        name: Its name.
        inputs: Name -> what it takes.
        outputs: Name -> what it returns.
    """

    name: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    _function: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Calls it. Strings are bytes, as objects.

        Raises:
            tf.errors.OpError: The model refuses the inputs, or fails.
        """
        return dict(self._function(inputs))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServedVersion:
    """A version that is loaded.

    Attributes:
        number: Its version.
        place: Where it was loaded from, a folder or a file.
        platform: What runs it, in the words of the Open Inference Protocol.
        digest: Digest of its content.
        info: Describes its embeddings.
        signatures: By name.
        signature_def: The signatures as TensorFlow Serving describes them in `/metadata`.
    """

    number: int
    place: str
    platform: str
    digest: str
    info: EmbeddingInfo
    signatures: Mapping[str, Signature]
    signature_def: Mapping[str, object]
    _root: object  # It owns the variables of the functions.


def load(version: Version) -> ServedVersion:
    """Loads a version and calls each of its signatures once, so that no request has to wait for what is done then.

    Raises:
        UserError: The folder is not a SavedModel from Diptych, or is damaged.
    """
    exported = exported_model.ExportedModel(version.place)
    exported.check()
    try:
        with storage.without_wildcards(version.place) as readable:
            root = tf.saved_model.load(readable)
    except Exception as error:  # TensorFlow raises errors of many types for damaged files.
        raise exported_model.load_error(version.place, error) from error
    served = ServedVersion(
        number=version.number,
        place=version.place,
        platform="tensorflow_savedmodel",
        digest=exported.digest(),
        info=EmbeddingInfo.read(version.place),
        signatures={name: _signature(name, function) for name, function in root.signatures.items()},
        signature_def=_signature_def(version.place),
        _root=root,
    )
    try:
        _warm_up(served)
    except tf.errors.OpError as error:
        raise exported_model.load_error(version.place, error) from error
    return served


def _signature(name: str, function: tf.types.experimental.ConcreteFunction) -> Signature:
    _, specs = function.structured_input_signature

    def call(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        tensors = {key: tf.constant(value, specs[key].dtype) for key, value in inputs.items()}
        return {key: value.numpy() for key, value in function(**tensors).items()}

    return Signature(
        name=name,
        inputs={key: _tensor(spec) for key, spec in specs.items()},
        outputs={key: _tensor(spec) for key, spec in function.structured_outputs.items()},
        _function=call,
    )


def _tensor(spec: tf.TensorSpec) -> Tensor:
    return Tensor(dtype=spec.dtype, shape=None if spec.shape.rank is None else tuple(spec.shape))


def _signature_def(folder: str) -> dict[str, object]:
    # Imported here because they are TensorFlow's internals, which only this needs.
    from google.protobuf import json_format
    from tensorflow.core.protobuf import saved_model_pb2

    content = (epath.Path(folder) / "saved_model.pb").read_bytes()
    graph = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0]
    return {
        name: json_format.MessageToDict(
            signature, preserving_proto_field_name=True, including_default_value_fields=True
        )
        for name, signature in graph.signature_def.items()
    }


def _warm_up(served: ServedVersion) -> None:
    """Calls each signature with one window of silence."""
    for signature in served.signatures.values():
        if len(signature.inputs) != 1:
            continue
        (name, tensor), *_ = signature.inputs.items()
        if tensor.dtype == tf.string:
            signature({name: np.array([_silent_wav(served.info)], object)})
        else:
            signature({name: np.zeros((1, served.info.crop_samples), np.float32)})


def _silent_wav(info: EmbeddingInfo) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(_INT16_BYTES)
        file.setframerate(info.sample_rate)
        file.writeframes(bytes(_INT16_BYTES * info.crop_samples))
    return content.getvalue()
