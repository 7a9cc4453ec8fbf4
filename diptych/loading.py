"""`diptych.load`."""

from diptych import runtimes
from diptych.embedder import Embedder, StrPath


def load(path: StrPath) -> Embedder:
    """Loads an exported model.

    Args:
        path: A SavedModel that the Exporter wrote or the Pusher copied, or a folder of numbered ones, of which the
            highest counts, as for a model server.

    Raises:
        DiptychError: There is no such model, or it is damaged. `MissingError` if there is nothing at the path.
    """
    return Embedder(runtimes.load(path))
