"""Embeds sounds with a model that Diptych exported.

    embedder = diptych.load("saved_model/5")
    embedder.embed_file("rain.wav")  # float32 (embedder.dim,)

`load_model`, `get_scene_embeddings` and `get_timestamp_embeddings` are the interface of HEAR 2021. Importing this
package imports no TensorFlow.
"""

try:
    from diptych.embedder import Embedder, load
    from diptych.errors import DiptychError, MissingError
    from diptych.hear import get_scene_embeddings, get_timestamp_embeddings, load_model
    from diptych.runtimes import Frames
except ImportError as _error:
    # Imported here because it is needed only if an import above fails.
    from diptych import neighbors

    raise neighbors.explained(_error) from _error

__all__ = [
    "DiptychError",
    "Embedder",
    "Frames",
    "MissingError",
    "get_scene_embeddings",
    "get_timestamp_embeddings",
    "load",
    "load_model",
]
