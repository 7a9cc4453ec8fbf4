"""Who is compared. All have the config of the preset `tiny`, apart from the fields below."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from typing import Literal

from components.trainer.config import TrainerConfig
from pipeline.configs import overrides, presets

# Small, for more steps in the same time. The log-mel encoder of every contender is a CNN10.
_SHARED: Mapping[str, object] = {"batch_size": 64, "model.encoders.log_mel": "cnn10"}

# With two formats, `all` adds pairs of crops within a format. With one, there are no others.
_LOG_MEL: Mapping[str, object] = {"model.formats": "log_mel+log_mel", "objective": "cross"}
# As branch B of the preset. With `all`, Diptych shifts both of its log-mel crops, too.
_BOTH_SHIFTED: Mapping[str, object] = {**_LOG_MEL, "model.augment_a.frequency_shift": 20}
_NO_AUGMENTATION: Mapping[str, object] = {
    f"model.augment_{branch}.{name}": value
    for branch, (name, value) in itertools.product(
        "ab", {"mixing": False, "frequency_shift": 0, "frequency_mask": 0, "time_mask_seconds": 0.0}.items()
    )
}
# Within a quarter of the steps that 4 minutes of processor time were on the machine of the committed results.
_WARM: Mapping[str, object] = {"initial_temperature": 0.5, "temperature_steps": 45}
_WIDE: Mapping[str, object] = {"model.width": 0.25}  # As many dimensions as both of Diptych's encoders together.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contender:
    """One of those who are compared.

    Attributes:
        title: Its name in the table.
        method: How it is trained, or that it is not.
        fields: Fields of the Trainer's config that differ from the preset `tiny`.
    """

    title: str
    method: Literal["diptych", "log_mel_first", "cola", "byol_a", "untrained", "baseline"]
    fields: Mapping[str, object] = dataclasses.field(default_factory=dict)

    def config(self, *, seed: int, changes: Iterable[str] = ()) -> TrainerConfig:
        """Returns its config.

        Args:
            seed: Of the weights, the order of the clips, the crops and the augmentations.
            changes: Other fields, each as `field=value`.

        Raises:
            UserError: There is no such field, or a value does not fit it.
        """
        config = presets.config("tiny").trainer
        config = overrides.replace(config, {**_SHARED, **self.fields, "seed": seed})
        return overrides.override(config, changes)

    @property
    def is_trained(self) -> bool:
        """Whether it learns from the clips."""
        return self.method not in ("untrained", "baseline")

    @property
    def is_random(self) -> bool:
        """Whether it depends on the seed."""
        return self.method != "baseline"


CONTENDERS: Mapping[str, Contender] = {
    "diptych": Contender(title="Diptych", method="diptych"),
    "diptych_warm": Contender(title="Diptych, falling temperature", method="diptych", fields=_WARM),
    "log_mel_first": Contender(title="Diptych, log-mel first", method="log_mel_first"),
    "simclr": Contender(title="SimCLR", method="diptych", fields=_BOTH_SHIFTED),
    "cola": Contender(title="COLA", method="cola", fields={**_LOG_MEL, **_NO_AUGMENTATION}),
    "byol_a": Contender(title="BYOL-A", method="byol_a", fields={**_LOG_MEL, **_NO_AUGMENTATION}),
    "simclr_wide": Contender(title="SimCLR, wide", method="diptych", fields={**_BOTH_SHIFTED, **_WIDE}),
    "simclr_one_shift": Contender(title="SimCLR, one crop shifted", method="diptych", fields=_LOG_MEL),
    "simclr_wide_one_shift": Contender(
        title="SimCLR, wide, one crop shifted", method="diptych", fields={**_LOG_MEL, **_WIDE}
    ),
    "cola_wide": Contender(title="COLA, wide", method="cola", fields={**_LOG_MEL, **_NO_AUGMENTATION, **_WIDE}),
    "byol_a_wide": Contender(title="BYOL-A, wide", method="byol_a", fields={**_LOG_MEL, **_NO_AUGMENTATION, **_WIDE}),
    "untrained": Contender(title="untrained", method="untrained"),
    "untrained_wide": Contender(title="untrained, wide", method="untrained", fields={**_LOG_MEL, **_WIDE}),
    "mfcc_mean_std": Contender(title="MFCC mean and std", method="baseline"),
    "log_mel_mean_std": Contender(title="log-mel mean and std", method="baseline"),
}
"""Name -> contender. The name of a baseline is that which `diptych evaluate` takes."""
