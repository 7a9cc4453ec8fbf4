"""The interface of HEAR 2021 (Turian et al. 2022, *HEAR: Holistic Evaluation of Audio Representations*)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diptych.errors import DiptychError

if TYPE_CHECKING:
    import tensorflow as tf

    from diptych.hear_model import HearModel


def load_model(model_file_path: str = "") -> HearModel:
    """Loads a SavedModel for HEAR.

    Args:
        model_file_path: See `diptych.load`.

    Returns:
        A `tf.Module` with `sample_rate`, `scene_embedding_size` and `timestamp_embedding_size`.

    Raises:
        DiptychError: There is no such model, HEAR does not know its sample rate, or TensorFlow is not installed.
    """
    if not model_file_path:
        raise DiptychError("HEAR needs a SavedModel: name one, e.g. `hear-validator diptych -m MODEL`.")
    try:
        # Imported here because it imports TensorFlow, without which `import diptych` takes a tenth of the time.
        from diptych.hear_model import HearModel
    except ModuleNotFoundError as error:
        raise DiptychError("HEAR needs a SavedModel and TensorFlow, which is not installed: install it.") from error

    return HearModel(model_file_path)


def get_scene_embeddings(audio: tf.Tensor, model: HearModel) -> tf.Tensor:
    """Embeds sounds.

    Args:
        audio: Floating point (sounds, samples) in [-1, 1] at `model.sample_rate`.
        model: What `load_model` returned.

    Returns:
        float32 (sounds, `model.scene_embedding_size`).

    Raises:
        DiptychError: The audio is something else.
    """
    return model.scene_embeddings(audio)


def get_timestamp_embeddings(audio: tf.Tensor, model: HearModel) -> tuple[tf.Tensor, tf.Tensor]:
    """Embeds sounds over time.

    Args:
        audio: Floating point (sounds, samples) in [-1, 1] at `model.sample_rate`.
        model: What `load_model` returned.

    Returns:
        float32 (sounds, timestamps, `model.timestamp_embedding_size`), and the timestamps in milliseconds, float32
        (sounds, timestamps).

    Raises:
        DiptychError: The audio is something else, or the model was exported without.
    """
    return model.timestamp_embeddings(audio)
