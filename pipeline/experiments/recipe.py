"""A recipe for small machines and few clips: what, besides the formats, makes both encoders learn."""

from typing import TYPE_CHECKING

from pipeline.experiments.experiment import Cell, Experiment, Layout, Place

if TYPE_CHECKING:
    from pipeline.configs.config import PipelineConfig

_NO_MIXING = {"trainer.model.augment_a.mixing": False, "trainer.model.augment_b.mixing": False}

_CONV1280 = {"trainer.model.encoders.waveform": "conv1280", "trainer.model.encoders.log_mel": "cnn10"}
_CONV2560 = {"trainer.model.encoders.waveform": "conv2560", "trainer.model.encoders.log_mel": "cnn10"}

_CELLS = (
    Cell(name="reference", fields={}),
    Cell(name="no-mixing", fields=_NO_MIXING),
    Cell(name="conv1280", fields=_CONV1280),
    Cell(name="conv2560", fields=_CONV2560),
    Cell(name="no-mixing+conv2560", fields={**_NO_MIXING, **_CONV2560}),
)


def _layout(config: "PipelineConfig") -> Layout:
    del config  # All presets have the same cells.
    return Layout(cells=_CELLS, places=[Place(row=cell.name, column="score", cell=cell.name) for cell in _CELLS])


EXPERIMENT = Experiment(
    name="recipe",
    title="changes of the preset, one at a time",
    layout=_layout,
    note="`reference` is the preset as it is. Not in the paper.",
    reference="reference",
)
