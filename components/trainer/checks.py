"""Checks that the examples, the replicas and the config fit together."""

import json

from etils import epath

from beam_jobs import examples
from beam_jobs.examples import ExamplesInfo
from components import text
from components.errors import UserError
from components.trainer import devices
from components.trainer.config import TrainerConfig


def check_anomalies(folder: epath.Path) -> None:
    """Checks that the examples have no fatal anomaly.

    Args:
        folder: The ExampleAnomalies artifact.

    Raises:
        UserError: They have one. The message quotes the first.
    """
    anomalies = json.loads((folder / "anomalies.json").read_text())
    fatal = [anomaly for anomaly in anomalies if anomaly["severity"] == "fatal"]
    if not fatal:
        return
    others = ""
    if len(fatal) > 1:
        others = f" (and {len(fatal) - 1} more)"
    raise UserError(
        f"The examples cannot be trained on: {fatal[0]['message'].rstrip('.')}{others}; correct the audio, or change "
        f"the bounds in example_validator (all anomalies are in {folder / 'anomalies.json'})."
    )


def check_examples(config: TrainerConfig, info: ExamplesInfo) -> None:
    """Checks that there are enough clips, at the sample rate of the model.

    Raises:
        UserError: The message names the field and the way out.
    """
    clips = info.splits.get("train", 0)
    if clips < 2:
        found = text.plural(clips, "clip")
        raise UserError(f"The train split has {found}, and training needs at least 2: add audio.")
    check_enough_clips(clips, batch_size=config.batch_size, pairs_per_clip=config.pairs_per_clip)
    if config.patience and info.splits.get("valid", 0) < 2:
        raise UserError(
            f"trainer.patience={config.patience} needs a valid split of at least 2 clips: add audio, or set "
            "trainer.patience=null."
        )
    if info.sample_rate != config.model.sample_rate:
        raise UserError(
            f"trainer.model.sample_rate={config.model.sample_rate} is not that of the examples, {info.sample_rate} Hz: "
            "set trainer.model.sample_rate and audio_example_gen.sample_rate to the same value."
        )


def check_enough_clips(clips: int, *, batch_size: int, pairs_per_clip: int) -> None:
    """Checks that the train split has a whole batch.

    Raises:
        UserError: It has not.
    """
    if clips * pairs_per_clip < batch_size:
        pairs = "" if pairs_per_clip == 1 else f"{pairs_per_clip:,} pairs of each of "
        raise UserError(
            f"trainer.batch_size={batch_size} is more than {pairs}the {clips} clips of the train split: choose at most "
            f"{clips * pairs_per_clip}."
        )


def check_batch_size(config: TrainerConfig, *, replicas: int) -> None:
    """Checks that a batch splits evenly into replicas, micro-batches, clips and mixing groups.

    Raises:
        UserError: The message names the field and the way out.
    """
    batch_size, model = config.batch_size, config.model
    _check_pairs_per_clip(config)
    if batch_size % replicas:
        nearest = max(batch_size // replicas, 1) * replicas
        raise UserError(
            f"trainer.batch_size={batch_size} cannot be split evenly among {replicas} replicas: choose {nearest}, or "
            "trainer.strategy=one."
        )
    share = batch_size // replicas
    micro_batch = config.micro_batch_size(replicas=replicas)
    if share % micro_batch:
        whole = f"{share:,}"
        if replicas > 1:
            whole = f"a replica's {share:,} pairs of trainer.batch_size={batch_size:,}"
        raise UserError(f"trainer.micro_batch={micro_batch:,} does not divide {whole}: choose a divisor of it.")
    if micro_batch % config.pairs_per_clip:
        raise UserError(
            f"trainer.pairs_per_clip={config.pairs_per_clip} does not divide the {micro_batch:,} pairs that a replica "
            "embeds at a time: choose a divisor of them, or another size of the batches."
        )
    mixes = model.augment_a.mixing or model.augment_b.mixing
    if mixes and micro_batch < batch_size and micro_batch % model.mixing_group:
        field, factor = "batch_size", model.mixing_group * replicas
        if config.micro_batch:
            field, factor = "micro_batch", model.mixing_group
        raise UserError(
            f"{micro_batch:,} pairs embedded at a time are not a multiple of "
            f"trainer.model.mixing_group={model.mixing_group}: make trainer.{field} a multiple of {factor:,}, or "
            f"trainer.model.mixing_group a divisor of {micro_batch:,}."
        )


def _check_pairs_per_clip(config: TrainerConfig) -> None:
    """Checks that a batch and a mixing group have more than one clip.

    Raises:
        UserError: The message names the field and the way out.
    """
    pairs, model = config.pairs_per_clip, config.model
    if config.clips_per_step < 2:
        raise UserError(
            f"trainer.pairs_per_clip={pairs} leaves less than two clips to contrast in trainer.batch_size="
            f"{config.batch_size}: choose at most {config.batch_size // 2}."
        )
    if (model.augment_a.mixing or model.augment_b.mixing) and model.mixing_group <= pairs:
        raise UserError(
            f"trainer.pairs_per_clip={pairs} fills trainer.model.mixing_group={model.mixing_group} with crops of one "
            f"clip, and clips are mixed with others: make trainer.model.mixing_group more than {pairs}."
        )


def check_schedules(config: TrainerConfig) -> None:
    """Checks that what changes over the steps of a training ends within them, and in what it should.

    Raises:
        UserError: The message names the field and the way out.
    """
    model, steps = config.model, config.steps
    if config.warmup_steps >= steps:
        raise UserError(
            f"trainer.warmup_steps={config.warmup_steps} leaves nothing of trainer.steps={steps} for the decay: choose "
            "fewer."
        )
    if config.final_learning_rate > config.learning_rate:
        raise UserError(
            f"trainer.final_learning_rate={config.final_learning_rate:g} is above trainer.learning_rate="
            f"{config.learning_rate:g}, where the decay begins: choose a lower one."
        )
    if config.initial_temperature is not None and config.temperature_steps > steps:
        raise UserError(
            f"trainer.temperature_steps={config.temperature_steps} is more than trainer.steps={steps}, so that the "
            f"temperature never becomes trainer.temperature={config.temperature:g}: choose at most {steps}, or "
            "trainer.initial_temperature=null."
        )
    if config.mixing_steps and not (model.augment_a.mixing or model.augment_b.mixing):
        raise UserError(
            f"trainer.mixing_steps={config.mixing_steps} lets mixing grow, and neither branch has any: add "
            "trainer.model.augment_b.mixing=true, or leave it 0."
        )
    if config.mixing_steps > steps:
        raise UserError(
            f"trainer.mixing_steps={config.mixing_steps} is more than trainer.steps={steps}, so that mixing never "
            f"becomes that of the paper: choose at most {steps}, or 0."
        )


def check_tpu(config: TrainerConfig) -> None:
    """Checks that a TPU is named only where the training may be on one.

    Raises:
        UserError: The training would ignore the name.
    """
    if config.tpu != devices.LOCAL_TPU and config.strategy not in ("auto", "tpu"):
        raise UserError(
            f"trainer.tpu={config.tpu} names a TPU, and trainer.strategy={config.strategy} trains elsewhere: set "
            f"trainer.strategy=tpu, or leave trainer.tpu={devices.LOCAL_TPU}."
        )


def check_crops(config: TrainerConfig, info: ExamplesInfo, *, crop_samples: int) -> None:
    """Checks that some clip is as long as a crop, if shorter clips are padded with silence.

    Raises:
        UserError: The message names the field and the way out.
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
        f"{longest / info.sample_rate:g} s), and trainer.short_clips=pad would fill up all crops with silence: choose "
        "a shorter crop, or trainer.short_clips=tile."
    )
