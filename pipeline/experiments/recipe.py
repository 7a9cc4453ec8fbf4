"""A recipe for small machines and few clips: what, besides the formats, makes both encoders learn."""

from typing import TYPE_CHECKING

from pipeline.experiments.experiment import Cell, Experiment, Layout, Place

if TYPE_CHECKING:
    from pipeline.configs.config import PipelineConfig

_WAVEFORM, _LOG_MEL = "trainer.model.encoders.waveform", "trainer.model.encoders.log_mel"

# CNN10 is named because both encoders have embeddings of the same size.
_CONV1280 = {_WAVEFORM: "conv1280", _LOG_MEL: "cnn10"}
_CONV2560 = {_WAVEFORM: "conv2560", _LOG_MEL: "cnn10"}
_NO_MIXING = {"trainer.model.augment_a.mixing": False, "trainer.model.augment_b.mixing": False}


def _cells(config: "PipelineConfig") -> list[Cell]:
    del config
    return [
        Cell(name="reference", fields={}),
        Cell(name="no-mixing", fields=_NO_MIXING),
        Cell(name="conv1280", fields=_CONV1280),
        Cell(name="conv2560", fields=_CONV2560),
        Cell(name="no-mixing+conv2560", fields={**_NO_MIXING, **_CONV2560}),
        # TO EXTEND, with fields that the config does not have yet: mixing that grows, a narrow Res1dNet31, a mel filter
        # bank on the waveform, positives within each format, the decoupled loss, a temperature that falls, a learning
        # rate for each encoder.
    ]


def _layout(config: "PipelineConfig") -> Layout:
    cells = _cells(config)
    return Layout(cells=cells, places=[Place(row=cell.name, column="score", cell=cell.name) for cell in cells])


EXPERIMENT = Experiment(
    name="recipe",
    title="changes of the preset, alone and together",
    layout=_layout,
    note="`reference` is the preset as it is. Not in the paper.",
    reference="reference",
)
