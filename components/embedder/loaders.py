"""Loads the trained and the untrained encoders. It imports no TensorFlow until it does."""

import dataclasses
from typing import ClassVar

from etils import epath

from beam_jobs import storage
from beam_jobs.embedding.embedder import TRAINED, Embedder, Loader
from components import embedding_info, load_errors

UNTRAINED = "untrained"


@dataclasses.dataclass(frozen=True)
class TrainedLoader:
    """Loads the exported model.

    Args:
        saved_model: Folder of the SavedModel, which the Exporter wrote.
    """

    name: ClassVar[str] = TRAINED

    saved_model: str

    def load(self) -> Embedder:
        # Imported here because the component imports this module, and TensorFlow takes seconds.
        from components.embedder.networks import ServedModel

        return ServedModel(self.saved_model)

    def digest(self) -> str:
        folder = epath.Path(self.saved_model)
        # What the Pusher adds decides no vector, so that its copy counts as the model that the Exporter wrote.
        names = [name for name in storage.file_sizes(folder) if name != embedding_info.EVALUATION]
        digests = (f"{name}\0{storage.file_digest(folder / name).sha256}\n" for name in names)
        return storage.text_digest("".join(digests))


@dataclasses.dataclass(frozen=True)
class EvaluatedLoader:
    """Loads another model in place of the exported one.

    Args:
        loader: Loads it.
        model: What the user named.
    """

    name: ClassVar[str] = TRAINED

    loader: Loader
    model: str

    def load(self) -> Embedder:
        with load_errors.as_user_errors(f"{self.model} cannot be loaded", way_out="copy or export it again"):
            return self.loader.load()

    def digest(self) -> str:
        return self.loader.digest()


@dataclasses.dataclass(frozen=True)
class UntrainedLoader:
    """Loads the encoders as they were before training.

    Args:
        model: The Trainer's folder, which holds `initial.keras`.
    """

    name: ClassVar[str] = UNTRAINED

    model: str

    @property
    def _file(self) -> epath.Path:
        return epath.Path(self.model) / "initial.keras"

    def load(self) -> Embedder:
        # Imported here for the reason above.
        from components.embedder.networks import KerasModel

        return KerasModel(self._file)

    def digest(self) -> str:
        return storage.file_digest(self._file).sha256
