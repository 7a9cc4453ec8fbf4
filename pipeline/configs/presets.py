"""Presets: named sets of fields that replace those of the default `PipelineConfig`."""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from components.errors import UserError
from models import catalog

if TYPE_CHECKING:
    from pipeline.configs.config import PipelineConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """A starting point for a run.

    Attributes:
        description: One line on what it does, on what data, and how long it takes.
        fields: Dotted name of a field -> value. They replace those of the default config in this order.
    """

    description: str
    fields: Mapping[str, object]


# Changes to the paper's setup for small machines, which cannot hold a batch with many negatives. Batch normalization
# in the projector makes up for that in part. Narrow encoders learn more in the same time without dropout.
_SMALL_MACHINE: Mapping[str, object] = {
    "trainer.model.width": 0.125,
    "trainer.model.dropout": 0.0,
    "trainer.model.projector_norm": "batch",
    "trainer.model.projector_dim": 128,
    "trainer.model.augment_a.mixing": False,
    "trainer.model.augment_b.frequency_shift": 20,
    "trainer.batch_size": 128,
    "trainer.steps_per_loop": 1,
    "trainer.log_every": 10,
    "trainer.eval_every": 50,
    "trainer.checkpoint_every": 100,
}

# The paper's runs, on millions of clips. Each baseline would take about as long to embed them all as the model does.
_SAMPLED_BASELINES: Mapping[str, object] = {"embedder.baseline_max_clips": 50_000}

_BASE: Mapping[str, object] = {
    **_SAMPLED_BASELINES,
    **{f"trainer.model.encoders.{format_name}": name for format_name, name in catalog.PAIRS["base"].items()},
}

PRESETS: Mapping[str, Preset] = {
    "quickstart": Preset(
        description="every stage on a generated corpus; about 5 minutes on 2 cores",
        fields={
            "synthetic_audio_gen": {},
            "synthetic_audio_gen.clip_seconds": 6.0,  # Three crops long, so that all stages take 5 minutes.
            **_SMALL_MACHINE,
            "trainer.model.crop_seconds": 2.0,
            "trainer.batch_size": 32,  # Small, for more steps in the same time.
            "trainer.steps": 130,
            # Both encoders learn in so few steps if the waveform's hears half a second at a time, as the sounds of the
            # corpus differ over such times, if each clip gives four positive pairs, and if nothing is mixed in.
            "trainer.model.encoders.waveform": "conv2560",
            "trainer.objective": "all",
            "trainer.model.augment_b.mixing": False,
            "trainer.learning_rate": 2e-3,
            "trainer.final_learning_rate": 2e-5,
        },
    ),
    "tiny": Preset(
        description="real audio such as ESC-50 (give --data), small encoders; about an hour on 2 cores",
        fields={
            **_SMALL_MACHINE,
            # Two short crops of a clip are a harder task than two long ones, and cost less.
            "trainer.model.crop_seconds": 1.0,
            # A narrow Res1dNet31 takes a third of the time of CNN10, so that the log-mel encoder sees nearly as many
            # crops as it would alone. Widths that give both encoders 64 dimensions: 2,048 / 32 and 512 / 8.
            "trainer.model.encoders.waveform": "res1dnet31",
            "trainer.model.widths.waveform": 1 / 32,
            "trainer.objective": "all",
            "trainer.model.augment_b.mixing": False,
            "trainer.batch_size": 64,  # For more steps in the same time.
            "trainer.steps": 6000,
            "trainer.eval_every": 100,
            "trainer.learning_rate": 1.5e-3,
            "trainer.final_learning_rate": 1.5e-5,
        },
    ),
    # The paper's runs (section 3). The defaults of the config are those of `small`.
    "small": Preset(
        description="the paper's small pair, Conv320 and CNN10: batch 1,024, 400,000 steps; GPUs or a TPU",
        fields=_SAMPLED_BASELINES,
    ),
    "base": Preset(
        description="the paper's base pair, Res1dNet31 and CNN14: batch 1,024, 400,000 steps; GPUs or a TPU",
        fields=_BASE,
    ),
    "final": Preset(
        description="the paper's best, the base pair: batch 32,768, 700,000 steps, all augmentations; a TPU v3-32",
        fields={
            **_BASE,
            "trainer.batch_size": 32_768,
            # On a v3-32, each of 32 cores has 1,024 clips of the batch and 16 GiB. By the estimate of
            # `components.trainer.memory`, 128 clips at a time fit, and 256 do not; a test holds this. Batch norm takes
            # its statistics from the 128 x 32 = 4,096 clips that all cores embed at a time.
            "trainer.micro_batch": 128,
            "trainer.steps": 700_000,
            "trainer.model.projector_dim": 1024,
            "trainer.model.augment_b.frequency_shift": 40,
            "trainer.model.augment_b.frequency_mask": 10,
            "trainer.model.augment_b.time_mask_seconds": 0.3,
        },
    ),
}


def find(name: str) -> Preset:
    """Returns the preset with the given name.

    Raises:
        UserError: There is no such preset.
    """
    if name in PRESETS:
        return PRESETS[name]
    close = difflib.get_close_matches(name, PRESETS, n=1)
    hint = f"did you mean {close[0]}? The" if close else "the"
    raise UserError(f"--preset {name}: there is no such preset; {hint} presets are {', '.join(PRESETS)}.")


def config(name: str) -> "PipelineConfig":
    """Returns the config of a preset.

    Raises:
        UserError: There is no such preset.
    """
    preset = find(name)
    # Imported here because `diptych --help` lists the presets, and should stay fast.
    from pipeline.configs import overrides
    from pipeline.configs.config import PipelineConfig

    return overrides.replace(PipelineConfig(), preset.fields)
