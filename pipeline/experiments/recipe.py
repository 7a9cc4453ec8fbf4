"""A recipe for small machines and few clips: what, besides the formats, makes both encoders learn."""

from typing import TYPE_CHECKING

from pipeline.experiments.experiment import Cell, Experiment, Layout, Place

if TYPE_CHECKING:
    from pipeline.configs.config import PipelineConfig

_WAVEFORM, _LOG_MEL = "trainer.model.encoders.waveform", "trainer.model.encoders.log_mel"

# What the cells change. It is the same for all presets: the paper's small pair, and mixing in the log-mel branch only.
_REFERENCE = {
    _WAVEFORM: "conv320",
    _LOG_MEL: "cnn10",
    "trainer.model.widths.waveform": None,  # The preset's is for its own encoder.
    "trainer.objective": "cross",
    "trainer.model.augment_a.mixing": False,
    "trainer.model.augment_b.mixing": True,
}
_CONV1280 = {_WAVEFORM: "conv1280"}
_CONV2560 = {_WAVEFORM: "conv2560"}
_NO_MIXING = {"trainer.model.augment_b.mixing": False}
_MELBANK = {_WAVEFORM: "melbank"}
_ALL = {"trainer.objective": "all"}
_DECOUPLED = {"trainer.decoupled": True}


def _res1dnet31(config: "PipelineConfig") -> dict[str, object]:
    """Res1dNet31, 2,048 dimensions at width 1, at a quarter of the width of CNN10, which has 512."""
    return {
        _WAVEFORM: "res1dnet31",
        "trainer.model.widths.waveform": config.trainer.model.width / 4,
    }


def _cells(config: "PipelineConfig") -> list[Cell]:
    res1dnet31 = _res1dnet31(config)
    changes: dict[str, dict[str, object]] = {
        "reference": {},
        "no-mixing": _NO_MIXING,
        "conv1280": _CONV1280,
        "conv2560": _CONV2560,
        "res1dnet31": res1dnet31,
        "melbank": _MELBANK,
        "all": _ALL,
        "decoupled": _DECOUPLED,
        "two-pairs": {"trainer.pairs_per_clip": 2},
        "waveform-rate-3": {"trainer.branch_learning_rates": [3.0, 1.0]},
        "no-mixing+conv2560": {**_NO_MIXING, **_CONV2560},
        "no-mixing+melbank": {**_NO_MIXING, **_MELBANK},
        "all+no-mixing": {**_ALL, **_NO_MIXING},
        "all+no-mixing+conv2560": {**_ALL, **_NO_MIXING, **_CONV2560},
        "all+no-mixing+res1dnet31": {**_ALL, **_NO_MIXING, **res1dnet31},
        "all+no-mixing+melbank": {**_ALL, **_NO_MIXING, **_MELBANK},
    }
    cells = [Cell(name=name, fields={**_REFERENCE, **fields}) for name, fields in changes.items()]
    small = "all+no-mixing+res1dnet31"  # The recipe of the preset `tiny`.
    warm = {
        "warm-temperature": {},
        "no-mixing+warm": _NO_MIXING,
        "no-mixing+decoupled+warm": {**_NO_MIXING, **_DECOUPLED},
        f"{small}+warm": changes[small],
    }
    for name, fields in warm.items():
        fields_of_cell = {**_REFERENCE, **fields, "trainer.initial_temperature": 0.5}
        cells.append(Cell(name=name, fields=fields_of_cell, shares={"trainer.temperature_steps": 0.25}))
    growing = Cell(name="growing-mixing", fields=_REFERENCE, shares={"trainer.mixing_steps": 0.5})
    return [*cells, growing]


def _layout(config: "PipelineConfig") -> Layout:
    cells = _cells(config)
    return Layout(cells=cells, places=[Place(row=cell.name, column="score", cell=cell.name) for cell in cells])


EXPERIMENT = Experiment(
    name="recipe",
    title="changes of the small pair, alone and together",
    layout=_layout,
    note="`reference`: Conv320 and CNN10, the objective of the paper, mixing in the log-mel branch. Not in the paper.",
    reference="reference",
)
