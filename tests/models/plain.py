"""Networks of Keras' own layers, with which the faster layers of `models.layers` are compared."""

import keras

from models import layers


def twin(model: keras.Model) -> keras.Model:
    """Returns a copy of a model, with its weights, that has Keras' own layers in place of those in `models.layers`."""
    copy = keras.models.clone_model(model, clone_function=_plain)
    copy.set_weights(model.get_weights())
    return copy


def _plain(layer: keras.layers.Layer) -> keras.layers.Layer:
    config = layer.get_config()
    if isinstance(layer, layers.Conv1D):
        return keras.layers.Conv1D.from_config({**config, "use_bias": False})
    if isinstance(layer, layers.BatchNormalization):
        return keras.layers.BatchNormalization.from_config({**config, "synchronized": False})
    if isinstance(layer, layers.GroupNormalization):
        return keras.layers.GroupNormalization.from_config(config)
    return type(layer).from_config(config)
