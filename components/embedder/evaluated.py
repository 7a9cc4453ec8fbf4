"""Finds out how to load a model that a user names, which need not be one of Diptych's."""

import os
import re

from beam_jobs import storage
from beam_jobs.embedding.embedder import Framing, Loader
from components import embedding_info
from components.embedder import baselines
from components.embedder.loaders import EvaluatedLoader, TrainedLoader
from components.errors import UserError

ANY_FRAMING = Framing(sample_rate=16000, window_samples=16000, hop_samples=8000)
"""The windows of a model that takes windows of any length: 1 s at 16 kHz."""


def loader(model: str) -> EvaluatedLoader:
    """Returns a loader that gives a model the name `trained`.

    Args:
        model: The folder of a SavedModel that the Exporter wrote or the Pusher copied, that of any other SavedModel, a
            TFLite or ONNX file, or NAME=PATH as for baselines.

    Raises:
        UserError: It is none of these.
    """
    if is_spec(model):
        return EvaluatedLoader(baselines.parse(model, framing=ANY_FRAMING), model)
    place = storage.canonical(model)
    if not os.path.exists(place) and not storage.is_remote(place):
        raise UserError(f"there is no model {model}: give the folder of a SavedModel, or NAME=PATH for another kind")
    if is_own(place):
        return EvaluatedLoader(TrainedLoader(place), model)
    # A spec needs a name of letters and digits; it is not shown.
    name = re.sub("[^A-Za-z0-9]", "", os.path.basename(place)) or "model"
    return EvaluatedLoader(baselines.parse(f"model_{name[:32]}={place}", framing=ANY_FRAMING), model)


def is_spec(model: str) -> bool:
    """Returns whether a user names a model by NAME=PATH, and not by a path that has an equals sign."""
    return "=" in model and not os.path.exists(model)


def framing(loader: Loader) -> Framing:
    """Returns the windows of the model of a loader. One that is not Diptych's is loaded for that."""
    inner = loader.loader if isinstance(loader, EvaluatedLoader) else loader
    if isinstance(inner, TrainedLoader):
        return embedding_info.EmbeddingInfo.read(inner.saved_model).framing
    return loader.load().framing


def is_own(folder: str) -> bool:
    """Returns whether a folder holds a SavedModel that Diptych exported."""
    return embedding_info.is_in(folder)
