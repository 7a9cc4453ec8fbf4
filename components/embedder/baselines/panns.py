"""A model of PANNs (Kong et al. 2020) that `diptych import-panns` wrote, or any other model of Diptych's own."""

import keras
import tensorflow as tf

from beam_jobs import error_text
from beam_jobs.embedding.embedder import Framing
from components.embedder.baselines.function_embedder import FunctionEmbedder
from components.errors import UserError
from models import subclip_starts
from models.dual import DualEncoder


def load(file: str) -> FunctionEmbedder:
    """Returns an embedder with the sample rate, the windows and the embeddings of a model.

    Args:
        file: The `.keras` file.

    Raises:
        UserError: It is damaged, or holds another model.
    """
    try:
        model = keras.models.load_model(file, compile=False)
    except Exception as error:  # Keras raises errors of many types.
        raise UserError(
            f"{file} cannot be loaded ({error_text.first_line(error)}): run `diptych import-panns` again."
        ) from error
    if not isinstance(model, DualEncoder):
        raise UserError(f"{file} is not a Diptych model: give a folder that `diptych import-panns` wrote.")
    framing = Framing(
        sample_rate=model.sample_rate,
        window_samples=model.crop_samples,
        hop_samples=subclip_starts.half_crop(model.crop_samples),
    )

    @tf.function(input_signature=[tf.TensorSpec((None, model.crop_samples), tf.float32)], autograph=False)
    def embed(windows: tf.Tensor) -> dict[str, tf.Tensor]:
        return model.embed(windows, training=False)

    return FunctionEmbedder(embed, framing=framing, source=file)
