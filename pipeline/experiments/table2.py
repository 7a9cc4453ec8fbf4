"""Table 2: the networks of the two encoders."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.experiments.experiment import Cell, Experiment, Layout, Place

if TYPE_CHECKING:
    from pipeline.configs.config import PipelineConfig

# Block -> encoders of the waveform, and encoder of the log-mel spectrogram -> the paper's validation mAP with each.
_BLOCKS: Mapping[str, tuple[tuple[str, ...], Mapping[str, tuple[float, ...]]]] = {
    "Small model": (
        ("conv160", "conv320", "conv640", "conv1280", "conv2560"),
        {"cnn6": (0.300, 0.305, 0.313, 0.314, 0.314), "cnn10": (0.303, 0.313, 0.320, 0.320, 0.322)},
    ),
    "Base model": (
        ("res1dnet31", "res1dnet51"),
        {
            "cnn14": (0.340, 0.340),
            "resnet22": (0.335, 0.336),
            "resnet38": (0.332, 0.333),
            "resnet54": (0.335, 0.340),
        },
    ),
}


def paper_score(*, waveform: str, log_mel: str) -> float | None:
    """Returns the paper's validation mAP with these two encoders; None if it gives none."""
    for waveforms, rows in _BLOCKS.values():
        if waveform in waveforms and log_mel in rows:
            return rows[log_mel][waveforms.index(waveform)]
    return None


def _layout(config: "PipelineConfig") -> Layout:
    del config  # All presets have the same cells.
    cells, places = [], []
    for block, (waveforms, rows) in _BLOCKS.items():
        for log_mel, numbers in rows.items():
            for waveform, paper in zip(waveforms, numbers, strict=True):
                encoders = {"waveform": waveform, "log_mel": log_mel}
                fields: dict[str, object] = {f"trainer.model.encoders.{name}": each for name, each in encoders.items()}
                # A preset's width of one encoder is for that encoder.
                fields |= {f"trainer.model.widths.{name}": None for name in encoders}
                cells.append(Cell(name=f"{log_mel}-{waveform}", fields=fields))
                places.append(
                    Place(block=block, row=log_mel, column=waveform, cell=cells[-1].name, paper=paper),
                )
    return Layout(cells=cells, places=places)


EXPERIMENT = Experiment(
    name="table2",
    title="encoders of the log-mel spectrogram (rows) and of the waveform (columns)",
    layout=_layout,
    paper="validation mAP on AudioSet",
    paper_metric="mAP",
    note="All networks have the width of the preset. `--only 'cnn6-*' 'cnn10-*'` runs the small ones alone.",
)
