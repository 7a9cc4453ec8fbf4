"""Named configs: what a preset changes in the default `PipelineConfig`.

A preset is a list of fields and nothing else, so that this module stays light: `diptych --help` reads it.
"""

import dataclasses
import difflib
import typing
from collections.abc import Mapping

from components.errors import UserError
from models import catalog

if typing.TYPE_CHECKING:
    from pipeline.configs.config import PipelineConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """A starting point for a run.

    Attributes:
        description: What it does, on what data and how long it takes; one line.
        fields: Dotted field -> value, put into the default config in this order.
    """

    description: str
    fields: Mapping[str, object]


# What a small machine changes in the paper's recipe. The batch norm in the projector stands in for the many
# negatives of a batch that it cannot hold; without dropout, narrow encoders learn more in the same time.
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

_BASE: Mapping[str, object] = {
    f"trainer.model.encoders.{format_name}": name for format_name, name in catalog.PAIRS["base"].items()
}

PRESETS: Mapping[str, Preset] = {
    "quickstart": Preset(
        description="every stage on a corpus generated here; 5 to 15 minutes on 2 cores",
        fields={
            "synthetic_audio_gen": {},
            **_SMALL_MACHINE,
            "trainer.model.crop_seconds": 2.0,
            "trainer.batch_size": 32,  # more steps for the same time
            "trainer.steps": 300,
            "trainer.learning_rate": 2e-3,
            "trainer.final_learning_rate": 2e-5,
        },
    ),
    "tiny": Preset(
        description="real audio such as ESC-50 (give --data), small encoders; about an hour on 2 cores",
        fields={
            **_SMALL_MACHINE,
            "trainer.model.crop_seconds": 2.5,
            "trainer.steps": 1200,
            "trainer.learning_rate": 1.5e-3,
            "trainer.final_learning_rate": 1.5e-5,
        },
    ),
    # The paper's runs (section 3). `small` is the config's defaults.
    "small": Preset(
        description="the paper's small pair, Conv320 and CNN10: batch 1,024, 400,000 steps; GPUs or a TPU",
        fields={},
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
            "trainer.steps": 700_000,
            "trainer.model.projector_dim": 1024,
            "trainer.model.augment_b.frequency_shift": 40,
            "trainer.model.augment_b.frequency_mask": 10,
            "trainer.model.augment_b.time_mask_seconds": 0.3,
        },
    ),
}


def find(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UserError: there is none.
    """
    if name in PRESETS:
        return PRESETS[name]
    close = difflib.get_close_matches(name, PRESETS, n=1)
    hint = f"did you mean {close[0]}? The" if close else "the"
    raise UserError(f"--preset {name}: there is no such preset; {hint} presets are {', '.join(PRESETS)}.")


def config(name: str) -> "PipelineConfig":
    """The config of a preset.

    Raises:
        UserError: there is no such preset.
    """
    preset = find(name)
    from pipeline.configs import overrides
    from pipeline.configs.config import PipelineConfig

    return overrides.replace(PipelineConfig(), preset.fields)
