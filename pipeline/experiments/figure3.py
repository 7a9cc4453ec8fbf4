"""Figure 3: augmentations of the waveform (rows) and of the log-mel spectrogram (columns)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.experiments.experiment import Cell, Experiment, Layout, Place

if TYPE_CHECKING:
    from pipeline.configs.config import PipelineConfig

_OFF: Mapping[str, object] = {"mixing": False, "time_mask_seconds": 0.0}
_OFF_OF_SPECTRA: Mapping[str, object] = {**_OFF, "frequency_mask": 0, "frequency_shift": 0}

# The paper does not say how strong they are. These are those of the preset `final`.
_MIXING: Mapping[str, object] = {"mixing": True}
_TIME_MASK: Mapping[str, object] = {"time_mask_seconds": 0.3}
_OF_WAVEFORM: Mapping[str, Mapping[str, object]] = {"none": {}, "mixing": _MIXING, "time_mask": _TIME_MASK}
_FREQUENCY_MASK: Mapping[str, object] = {"frequency_mask": 10}


def _layout(config: "PipelineConfig") -> Layout:
    shift = {"frequency_shift": config.trainer.model.augment_b.frequency_shift or 10}
    of_log_mel = {
        **_OF_WAVEFORM,
        "frequency_mask": _FREQUENCY_MASK,
        "frequency_shift": shift,
        "mixing+frequency_shift": {**_MIXING, **shift},
    }
    cells, places = [], []
    for row, waveform in _OF_WAVEFORM.items():
        for column, log_mel in of_log_mel.items():
            fields = {f"trainer.model.augment_a.{name}": value for name, value in {**_OFF, **waveform}.items()}
            of_b = {**_OFF_OF_SPECTRA, **log_mel}
            fields |= {f"trainer.model.augment_b.{name}": value for name, value in of_b.items()}
            cells.append(Cell(name=f"{row}-{column}", fields=fields))
            places.append(
                Place(block="waveform (rows), log-mel (columns)", row=row, column=column, cell=cells[-1].name)
            )
    return Layout(cells=cells, places=places)


EXPERIMENT = Experiment(
    name="figure3",
    title="augmentations of the waveform and of the log-mel spectrogram",
    layout=_layout,
    note="The figure is a plot without numbers. The paper says that the frequency shift has the biggest impact, that "
    "the base model benefits more from mixing than the small one, and that masking does not improve the result.",
    reference="none-none",
)
