"""The model from a config, and whether examples and replicas fit it."""

import tensorflow as tf

from beam_jobs import examples
from beam_jobs.examples import ExamplesInfo
from components.errors import UserError
from components.trainer.config import TrainerConfig
from models.config import ModelConfig
from models.dual import DualEncoder
from models.layers import BatchNormalization


def build_model(config: ModelConfig, *, seed: int) -> DualEncoder:
    """Builds the untrained model, for the replicas of the strategy in scope; seed Keras first for repeatable weights.

    Raises:
        UserError: if the model cannot be built so.
    """
    try:
        model = DualEncoder(config, seed=seed)
    except ValueError as error:
        raise UserError(f"trainer.model: {error}.") from error
    layers = [layer for encoder in model.encoders.values() for layer in encoder.layers]
    for layer in (*layers, model.projector.normalize):
        if isinstance(layer, BatchNormalization):
            layer.replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return model


def check_examples(config: TrainerConfig, info: ExamplesInfo) -> None:
    """Refuses examples that the config cannot train on.

    Raises:
        UserError: naming the field and the way out.
    """
    clips = info.splits.get("train", 0)
    if clips < 2:
        raise UserError(f"the train split has {clips} clips, and one alone has no negatives: add audio.")
    if clips < config.batch_size:
        raise UserError(
            f"trainer.batch_size={config.batch_size} is more than the {clips} clips of the train split: choose at most "
            f"{clips}."
        )
    if config.patience and info.splits.get("valid", 0) < 2:
        raise UserError(
            f"trainer.patience={config.patience} needs a valid split of at least 2 clips to look at: add audio, or set "
            "trainer.patience=null."
        )
    if info.sample_rate != config.model.sample_rate:
        raise UserError(
            f"trainer.model.sample_rate={config.model.sample_rate} is not that of the examples, {info.sample_rate} Hz: "
            "set it, and audio_example_gen.sample_rate, to the same value."
        )


def check_split(config: TrainerConfig, *, replicas: int) -> int:
    """Refuses a batch that cannot be split evenly; returns how many clips a replica embeds at a time.

    Raises:
        UserError: naming the field and the way out.
    """
    batch, model = config.batch_size, config.model
    if batch % replicas:
        raise UserError(
            f"trainer.batch_size={batch} cannot be split evenly among {replicas} replicas: choose "
            f"{batch // replicas * replicas or replicas}, or trainer.strategy=one."
        )
    share = batch // replicas
    micro = config.micro_batch or share
    if share % micro:
        of = f"a replica's {share:,} clips of trainer.batch_size={batch:,}" if replicas > 1 else f"{share:,}"
        raise UserError(f"trainer.micro_batch={micro:,} does not divide {of}: choose a divisor of it.")
    mixes = model.augment_a.mixing or model.augment_b.mixing
    if mixes and micro < batch and micro % model.mixing_group:
        field = "micro_batch" if config.micro_batch else "batch_size"
        fit = model.mixing_group * (1 if config.micro_batch else replicas)
        raise UserError(
            f"{micro:,} clips embedded at a time are no whole number of mixing groups of {model.mixing_group}: make "
            f"trainer.{field} a multiple of {fit:,}, or trainer.model.mixing_group a divisor of {micro:,}."
        )
    return micro


def check_crops(config: TrainerConfig, info: ExamplesInfo, *, crop_samples: int) -> None:
    """Refuses a crop that is longer than every clip when short clips are filled with silence.

    Raises:
        UserError: naming the field and the way out.
    """
    if config.short_clips == "tile":
        return
    longest = 0
    for path in info.files("train"):
        for clip in examples.read_file(path, storage=info.storage).as_numpy_iterator():
            longest = max(longest, clip["audio"].size)
            if longest >= crop_samples:
                return
    raise UserError(
        f"trainer.model.crop_seconds={config.model.crop_seconds:g} is longer than every clip (the longest has "
        f"{longest / info.sample_rate:g} s), and trainer.short_clips=pad would fill all crops with silence: choose a "
        "shorter crop, or trainer.short_clips=tile."
    )
