"""Model, optimiser schedule and strategy from a config, and whether the examples fit it."""

import keras
import tensorflow as tf

from beam_jobs.examples import ExamplesInfo
from components.errors import UserError
from components.trainer.config import ModelConfig, TrainerConfig
from models.dual import DualEncoder
from models.layers import BatchNormalization


def build_model(config: ModelConfig, *, seed: int) -> DualEncoder:
    """Builds the untrained model, for the replicas of the strategy in scope; seed Keras first for repeatable weights.

    Raises:
        UserError: if the model cannot be built so.
    """
    try:
        model = DualEncoder(
            formats=config.format_names,
            encoders=config.encoders.model_dump(),
            augmentations=[config.augment_a.model_dump(), config.augment_b.model_dump()],
            share_encoder=config.share_encoder,
            width=config.width,
            dropout=config.dropout,
            norm=config.norm,
            padding=config.padding,
            crop_seconds=config.crop_seconds,
            sample_rate=config.sample_rate,
            n_mels=config.n_mels,
            n_mfcc=config.n_mfcc,
            front_end=config.front_end.model_dump(),
            projector_dim=config.projector_dim,
            projector_norm=config.projector_norm,
            mixing_group=config.mixing_group,
            seed=seed,
        )
    except ValueError as error:
        raise UserError(f"trainer.model: {error}.") from error
    layers = [layer for encoder in model.encoders.values() for layer in encoder.layers]
    for layer in (*layers, model.projector.normalize):
        if isinstance(layer, BatchNormalization):
            layer.replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return model


def make_schedule(config: TrainerConfig) -> keras.optimizers.schedules.LearningRateSchedule:
    """Cosine decay over all steps (paper, section 3), after a linear warm-up if one is asked for."""
    warmup = config.warmup_steps
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else config.learning_rate,
        decay_steps=config.steps - warmup,
        alpha=config.final_learning_rate / config.learning_rate,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def make_strategy(name: str) -> tf.distribute.Strategy:
    """The distribution strategy of that config name."""
    gpus = tf.config.list_logical_devices("GPU")
    if name == "one" or (name == "auto" and len(gpus) < 2):
        return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")
    return tf.distribute.MirroredStrategy([device.name for device in gpus or tf.config.list_logical_devices("CPU")])


def check_examples(config: TrainerConfig, info: ExamplesInfo) -> None:
    """Refuses examples that the config cannot train on.

    Raises:
        UserError: naming the field and the way out.
    """
    clips = info.splits.get("train", 0)
    if clips < config.batch_size:
        way_out = f"choose at most {clips}" if clips >= 2 else "add audio"
        raise UserError(
            f"trainer.batch_size={config.batch_size} is more than the {clips} clips of the train split: {way_out}."
        )
    if info.sample_rate != config.model.sample_rate:
        raise UserError(
            f"trainer.model.sample_rate={config.model.sample_rate} is not that of the examples, {info.sample_rate} Hz: "
            "set it, and audio_example_gen.sample_rate, to the same value."
        )


def check_replicas(config: TrainerConfig, *, replicas: int) -> None:
    """Refuses a batch that cannot be split evenly.

    Raises:
        UserError: naming the field and the way out.
    """
    if config.batch_size % replicas:
        raise UserError(
            f"trainer.batch_size={config.batch_size} cannot be split evenly among {replicas} replicas: choose "
            f"{config.batch_size // replicas * replicas or replicas}, or trainer.strategy=one."
        )
