"""SavedModels, run by TensorFlow."""

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from beam_jobs import storage
from components import load_errors
from components.embedding_info import EmbeddingInfo
from diptych.errors import DiptychError
from diptych.runtimes.runtime import Frames


class SavedModel:
    """A SavedModel that the Exporter wrote; see `Runtime`.

    Args:
        folder: Its folder.

    Raises:
        UserError: It is another program's, or is damaged.
    """

    def __init__(self, folder: str):
        try:
            self.info = EmbeddingInfo.read(folder)
        except FileNotFoundError as error:
            raise DiptychError(
                f"{folder} is a SavedModel, but not of Diptych's Exporter: give the folder that `diptych run` prints "
                "last."
            ) from error
        except OSError as error:
            raise DiptychError(f"{folder} cannot be read ({error}).") from error
        with (
            load_errors.as_user_errors(f"{folder} cannot be loaded", way_out="copy it again, or export it again"),
            storage.without_wildcards(folder) as readable,
        ):
            self.model = tf.saved_model.load(readable)
        self._folder = folder

    def windows(self, audio: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        return {name: values.numpy() for name, values in self.call("windows", tf.constant(audio)).items()}

    def frames(self, audio: npt.NDArray[np.float32]) -> Frames:
        outputs = self.call("frames", tf.constant(audio))
        return Frames(outputs["embedding"].numpy(), outputs["timestamps"].numpy())

    def call(self, signature: str, audio: tf.Tensor) -> dict[str, tf.Tensor]:
        """Calls a signature with `audio`, float32 (batch, samples).

        Raises:
            DiptychError: The model was exported without.
        """
        function = self.model.signatures.get(signature)
        if function is None:
            raise DiptychError(
                f"{self._folder} has no signature `{signature}`, because an older version of Diptych exported it: "
                "export it again, with --force Exporter added to the `diptych run` that wrote it."
            )
        return function(audio=audio)


def load(path: str) -> SavedModel:
    """Loads a SavedModel."""
    return SavedModel(path)
