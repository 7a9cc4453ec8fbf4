"""Loads a SavedModel that the Exporter wrote, and says what is wrong with it."""

import dataclasses
import errno
import importlib.metadata
import os

from etils import epath

from beam_jobs import error_text, storage
from beam_jobs.embedding.embedder import TRAINED, Embedder
from components import file_errors, model_versions
from components.embedder.loaders import TrainedLoader
from components.embedding_info import EmbeddingInfo
from components.errors import DamagedFile, UserError
from diptych import bundled, runtimes
from pipeline import checksums
from pipeline.serving.embedding.exported_file import ExportedFile


@dataclasses.dataclass(frozen=True)
class ExportedModel:
    """A `beam_jobs.embedding.embedder.Loader` of a SavedModel that the Exporter wrote or the Pusher copied.

    Attributes:
        folder: The SavedModel.
    """

    folder: str
    name: str = TRAINED

    def check(self) -> None:
        """Compares all its files with their checksums, if it has any. Imports no TensorFlow.

        Raises:
            UserError: The folder is not a SavedModel that the Exporter wrote.
            DamagedFile: It was one.
            OSError: It cannot be read.
        """
        folder = epath.Path(storage.canonical(self.folder))
        altered = checksums.altered_file(folder)
        if altered:
            checksums.mark_as_altered(folder, altered)  # So that `diptych run` writes it again.
            path = os.path.join(self.folder, altered)
            raise _damaged(f"{path} is not as the Exporter wrote it", path=path)
        self._check_info()

    def digest(self) -> str:
        return TrainedLoader(self.folder).digest()

    @property
    def source(self) -> str:
        """The folder."""
        return self.folder

    def library(self) -> str:
        return f"tensorflow {importlib.metadata.version('tensorflow')}"

    def info(self) -> EmbeddingInfo:
        """Returns what the model says about its embeddings; `check` has made sure that it does."""
        return EmbeddingInfo.read(self.folder)

    def load(self) -> Embedder:
        self._check_info()
        try:
            return TrainedLoader(self.folder).load()
        except Exception as error:  # TensorFlow raises errors of many types for damaged files.
            raise load_error(self.folder, error) from error

    def _check_info(self) -> None:
        folder = self.folder
        try:
            (storage.open_path(folder) / model_versions.MODEL_FILE).stat()
            EmbeddingInfo.read(folder)
            return
        except DamagedFile as error:
            raise _damaged(str(error), path=error.path) from error
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
        raise UserError(
            f"--model {folder} is not a SavedModel from Diptych: give the folder that `diptych run` prints last, or a "
            f"folder of numbered ones{bundled.choices()}."
        )


def given(model: str) -> ExportedModel | ExportedFile:
    """Returns the loader of what a user gives as --model, see `place`: a SavedModel, or a file for another runtime."""
    found = place(model)
    return ExportedFile(found) if runtimes.is_file(found) else ExportedModel(found)


def place(model: str) -> str:
    """Returns the path of what a user gives as --model.

    Args:
        model: A SavedModel; a folder of numbered ones, such as the Pusher's destination, of which the highest counts; a
            file for another runtime; or the name of a bundled model.

    Raises:
        UserError: It is empty, which would mean the current folder.
    """
    if not model:
        raise UserError(f"--model is empty: give the folder that `diptych run` prints last{bundled.choices()}.")
    found = bundled.resolve(model)
    try:
        if storage.is_folder(found) and not model_versions.is_saved_model(found):
            newest = model_versions.newest(found)
            return newest[1] if newest else found
    except OSError:  # `ExportedModel.check` says what it is.
        pass
    return found


def _damaged(what: str, *, path: str) -> DamagedFile:
    return DamagedFile(f"--model: {what}: copy it again, or repeat the `diptych run` that wrote it.", path=path)


def load_error(saved_model: str, error: Exception) -> UserError:
    """Returns the error of a SavedModel that TensorFlow cannot load: it is damaged, unless the error says otherwise."""
    # Imported here because TensorFlow takes seconds; it is loaded by now.
    import tensorflow as tf

    reason = error_text.first_line(error)
    if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError):
        return UserError(
            f"--model {saved_model} does not fit into memory ({reason}): free some, or use another machine."
        )
    if "Op type not registered" in str(error):
        return UserError(
            f"--model {saved_model} has an operation that TensorFlow {tf.__version__} lacks ({reason}): install the "
            "version that `diptych run` exported it with, or copy it again."
        )
    unreadable = file_errors.as_user_error(error, place=saved_model)
    return unreadable or _damaged(f"{saved_model} cannot be loaded ({reason})", path=saved_model)
