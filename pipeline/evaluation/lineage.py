"""Finds the encoders before training of a model that `diptych run` exported."""

import os

from etils import epath

from beam_jobs import storage
from components.errors import UserError
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root


def untrained_model(saved_model: str) -> str | None:
    """Returns the Trainer's folder that a SavedModel was exported from.

    Args:
        saved_model: An absolute path, e.g. `/runs/tiny/artifacts/Exporter/saved_model/5`.

    Returns:
        The folder, or None if the SavedModel does not lie in the root of its run, or the folder is gone.
    """
    place = epath.Path(storage.canonical(saved_model))
    if storage.is_remote(place) or len(place.parents) < 4:
        return None
    root = Root(place.parents[3])
    database = os.fspath(root.path / "metadata.sqlite")
    if not os.path.exists(database):
        return None
    try:
        executions = MetadataStore(database, pipeline=root.name, root=root.path, read_only=True).executions()
    except UserError:  # Without its metadata, the model is evaluated, but not compared with its untrained self.
        return None
    digests = {
        execution.cache_key.inputs.get("model")
        for execution in executions
        for artifact in execution.outputs.values()
        if storage.canonical(os.fspath(artifact.folder)) == os.fspath(place)
    }
    for execution in executions:
        model = execution.outputs.get("model")
        if model is not None and model.digest in digests and (model.folder / "initial.keras").exists():
            return os.fspath(model.folder)
    return None
