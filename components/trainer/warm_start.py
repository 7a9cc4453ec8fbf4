"""Gives a model the weights of another one of the same architecture."""

import os
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from beam_jobs import storage
from components import keras_file, load_errors
from components.errors import UserError
from components.trainer.initial_model import FIELD, InitialModel
from models.dual import DualEncoder


def load(initial: InitialModel, *, model: DualEncoder) -> None:
    """Gives a model the weights of the encoders and, if the initial model has one, of the projector.

    The optimizer starts anew. Call it when the model is untrained.

    Raises:
        UserError: The initial model is damaged, or its weights do not have the shapes of the model's.
    """
    of_encoders = [weight for encoder in model.encoders.values() for weight in encoder.weights]
    with load_errors.as_user_errors(f"{FIELD}: {initial.path} cannot be loaded", way_out="give another model"):
        if initial.is_exported:
            _assign(of_encoders, _of_saved_model(initial), initial=initial)
            return
        source = keras_file.load(initial.path, way_out="give another model")
        weights = [weight for encoder in source.encoders.values() for weight in encoder.weights]
        values = [weight.numpy() for weight in (*weights, *source.projector.weights)]
        _assign([*of_encoders, *model.projector.weights], values, initial=initial)


def _assign(weights: Sequence[keras.Variable], values: Sequence[np.ndarray], *, initial: InitialModel) -> None:
    """Assigns the values if all of them fit, else none."""
    shapes, found = ([tuple(each.shape) for each in arrays] for arrays in (weights, values))
    if shapes != found:
        raise UserError(f"{FIELD}: the weights of {initial.path} have other shapes than those of this model.")
    for weight, value in zip(weights, values, strict=True):
        weight.assign(value)


def _of_saved_model(initial: InitialModel) -> list[np.ndarray]:
    """Reads the encoders' weights out of a SavedModel, as its root lists them. Nothing of it is executed."""
    with storage.without_wildcards(initial.path) as folder:
        reader = tf.train.load_checkpoint(os.path.join(folder, "variables", "variables"))
        graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
            reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH")
        )
        children = {child.local_name: child.node_id for child in graph.nodes[0].children}
        listed = {int(child.local_name): child.node_id for child in graph.nodes[children["variables"]].children}
        nodes = [graph.nodes[listed[place]] for place in sorted(listed)]
        values = [reader.get_tensor(node.attributes[0].checkpoint_key) for node in nodes]
    return [value for value in values if value.dtype.kind == "f"]  # The others are states of dropout.
