"""Checks that the augmentations of a branch fit its format, and leave something of a crop."""

from components.errors import UserError
from models.config import AugmentConfig, ModelConfig


def check(branch: str, augment: AugmentConfig, *, model: ModelConfig, format_name: str) -> None:
    """Checks the augmentations of a branch. `models.compatibility.check_inputs` must accept the model.

    Args:
        branch: "a" or "b".
        augment: Its augmentations.
        model: The config that they are part of.
        format_name: The format of the branch.

    Raises:
        UserError: The message names the field and the way out.
    """
    section = f"trainer.model.augment_{branch}"
    _check_time_mask(f"{section}.time_mask_seconds", augment, model=model, format_name=format_name)
    bands = {name: getattr(augment, name) for name in ("frequency_mask", "frequency_shift")}
    if format_name == "waveform" and any(bands.values()):
        changes = " ".join(f"{section}.{name}=0" for name, value in bands.items() if value)
        raise UserError(f"Branch {branch.upper()} is a waveform, which has no bands to mask or shift: add {changes}.")
    most = {"frequency_mask": model.n_mels - 1, "frequency_shift": model.n_mels}  # The paper shifts by up to 80 of 80.
    for name, value in bands.items():
        if value > most[name]:
            raise UserError(
                f"{section}.{name}={value} is too much for trainer.model.n_mels={model.n_mels} bands, of which it may "
                f"leave none: choose at most {most[name]}."
            )


def _check_time_mask(field: str, augment: AugmentConfig, *, model: ModelConfig, format_name: str) -> None:
    seconds = augment.time_mask_seconds
    if seconds >= model.crop_seconds:
        raise UserError(
            f"{field}={seconds:g} may leave nothing of a crop of trainer.model.crop_seconds={model.crop_seconds:g}: "
            "choose less."
        )
    hop = 1 if format_name == "waveform" else model.front_end.hop(model.sample_rate)
    if seconds and augment.longest_time_mask(sample_rate=model.sample_rate, hop=hop) < 1:
        raise UserError(
            f"{field}={seconds:g} masks nothing, because it is less than half of the {hop / model.sample_rate:g} s "
            "from one frame to the next: choose more, or 0 for no mask."
        )
