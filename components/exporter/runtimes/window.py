"""The function that the converters get."""

import tensorflow as tf

from components.exporter import endpoints
from models import products
from models.dual import DualEncoder


def module(model: DualEncoder) -> tf.Module:
    """Returns a module that embeds one window, with a static shape, so that no runtime has to work out shapes.

    There is no batch: in 8 bits, the range of a batch would decide how each of its windows is rounded. It computes in
    float32, also if the model was trained in mixed precision: other runtimes know no bfloat16.

    Returns:
        A module with the model's variables and the function `embed`: `audio` float32 (1, crop_samples) -> `embedding`
        and each encoder's own embedding, (1, dim).
    """
    if model.dtype_policy.compute_dtype != "float32":
        weights = model.get_weights()
        model = DualEncoder.from_config({**model.get_config(), "dtype": "float32"})
        model.set_weights(weights)

    @tf.function(input_signature=[tf.TensorSpec((1, model.crop_samples), tf.float32, name="audio")], autograph=False)
    def embed(audio: tf.Tensor) -> dict[str, tf.Tensor]:
        with products.kept_in_float32():
            return endpoints.embed_windows(model, audio, training=False)

    window = tf.Module()
    window.model_variables = [variable.value for variable in model.variables]
    window.embed = embed
    return window
