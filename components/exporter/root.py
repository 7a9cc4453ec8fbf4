"""The root object of the SavedModel: what `tf.saved_model.load` returns."""

from collections.abc import Callable, Mapping

import tensorflow as tf

from components.exporter import serve_once
from components.exporter.endpoints import Endpoints
from models.dual import DualEncoder


class Root(tf.Module):
    """TF-Hub's reusable SavedModel: it can be called, listed by its variables and trained further.

    The functions behind the signatures are its attributes, too, and `infer_tf` is `inputs` once more. It holds the
    front ends and the encoders of the model, and not the projector, which only training needs.

    Args:
        model: The model.

    Attributes:
        variables: All variables.
        trainable_variables: Those that training changes.
        regularization_losses: None: an empty list.
    """

    # Plain attributes in place of `tf.Module`'s properties, because a SavedModel keeps attributes only.
    variables = ()
    trainable_variables = ()

    def __init__(self, model: DualEncoder):
        super().__init__(name="diptych")
        encoders = model.encoders.values()
        self.variables = [variable.value for encoder in encoders for variable in encoder.variables]
        self.trainable_variables = [variable.value for encoder in encoders for variable in encoder.trainable_variables]
        self.regularization_losses = []
        self._endpoints = Endpoints(model)
        audio, inputs = (tf.TensorSpec((None, None), tf.float32, name=name) for name in ("audio", "inputs"))
        files = tf.TensorSpec((None,), tf.string, name="wav_bytes")
        self.serving_default = _function(self._endpoints.serving_default, audio)
        self.windows = _function(self._endpoints.windows, audio)
        self.frames = _function(self._endpoints.frames, audio)
        self.wav_bytes = _function(self._endpoints.wav_bytes, files)
        self.inputs = _function(self._endpoints.inputs, inputs)
        self.infer_tf = self.inputs  # As Perch's models name it.
        for training in (False, True):
            self.traced_call(training=training)

    @tf.function(autograph=False)
    def __call__(self, waveform: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Embeds clips, see `Endpoints.call`."""
        return self._endpoints.call(waveform, training=training)

    def traced_call(self, *, training: bool) -> tf.types.experimental.ConcreteFunction:
        """Returns the function behind `__call__`, for waveforms of any shape."""
        waveform = tf.TensorSpec(None, tf.float32, name="waveform")
        return self.__call__.get_concrete_function(waveform, training=training)

    def functions(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """Name of a signature -> its function."""
        return {name: getattr(self, name) for name in serve_once.SIGNATURES}

    def describe(self, metadata: str) -> None:
        """Adds the function `metadata` without arguments, which returns a string."""
        self.metadata = tf.function(lambda: tf.constant(metadata), input_signature=[], autograph=False)


def _function(
    endpoint: Callable[[tf.Tensor], Mapping[str, tf.Tensor]], spec: tf.TensorSpec
) -> tf.types.experimental.PolymorphicFunction:
    return tf.function(endpoint, input_signature=[spec], autograph=False)
