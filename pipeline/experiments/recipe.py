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
_ALL = {"trainer.objective": "all"}


def _res1dnet31(config: "PipelineConfig") -> dict[str, object]:
    """Res1dNet31, 2,048 dimensions at width 1, at a quarter of the width of CNN10, which has 512."""
    return {
        _WAVEFORM: "res1dnet31",
        _LOG_MEL: "cnn10",
        "trainer.model.widths.waveform": config.trainer.model.width / 4,
    }


def _cells(config: "PipelineConfig") -> list[Cell]:
    return [
        Cell(name="reference", fields={}),
        Cell(name="no-mixing", fields=_NO_MIXING),
        Cell(name="conv1280", fields=_CONV1280),
        Cell(name="conv2560", fields=_CONV2560),
        Cell(name="no-mixing+conv2560", fields={**_NO_MIXING, **_CONV2560}),
        # TO EXTEND: mixing that grows, shares={"trainer.mixing_warmup_steps": 0.5}, when there is that field.
        Cell(name="res1dnet31", fields=_res1dnet31(config)),
        Cell(name="melbank", fields={_WAVEFORM: "melbank", _LOG_MEL: "cnn10"}),
        Cell(name="all", fields=_ALL),
        Cell(name="all+no-mixing", fields={**_ALL, **_NO_MIXING}),
        Cell(name="all+no-mixing+conv2560", fields={**_ALL, **_NO_MIXING, **_CONV2560}),
        Cell(name="all+no-mixing+res1dnet31", fields={**_ALL, **_NO_MIXING, **_res1dnet31(config)}),
        Cell(name="all+no-mixing+melbank", fields={**_ALL, **_NO_MIXING, _WAVEFORM: "melbank", _LOG_MEL: "cnn10"}),
        Cell(name="decoupled", fields={"trainer.decoupled": True}),
        Cell(
            name="warm-temperature",
            fields={"trainer.initial_temperature": 0.5},
            shares={"trainer.temperature_steps": 0.25},
        ),
        Cell(name="waveform-rate-3", fields={"trainer.branch_learning_rates": [3.0, 1.0]}),
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
