"""Figure 2: which formats to contrast, one or two of the four."""

import itertools
from typing import TYPE_CHECKING

from pipeline.experiments import formats
from pipeline.experiments.experiment import Experiment, Layout, Place

if TYPE_CHECKING:
    from pipeline.configs.config import PipelineConfig

_FORMATS = ("waveform", "log_mel", "spectrogram", "mfcc")

# The figure is a plot. These two are the same setting in tables 1 and 2. Encoder of the spectra -> validation mAP.
_PAPER = {"cnn10": 0.313, "cnn14": 0.340}


def _layout(config: "PipelineConfig") -> Layout:
    singles = [(name,) for name in _FORMATS]
    cells = [formats.cell(config, *names) for names in (*singles, *itertools.combinations(_FORMATS, 2))]
    paper = {"waveform+log_mel": _PAPER.get(config.trainer.model.encoders.log_mel)}
    places = [Place(row=cell.name, column="score", cell=cell.name, paper=paper.get(cell.name)) for cell in cells]
    return Layout(cells=cells, places=places)


EXPERIMENT = Experiment(
    name="figure2",
    title="formats, alone and in pairs",
    layout=_layout,
    paper="validation mAP on AudioSet",
    paper_metric="mAP",
    note="Of the base model, the paper says that waveform+log_mel improves relatively upon waveform by 15 % and upon "
    "log_mel by 41 %. One format has one encoder, and two formats have two, so that theirs are twice as many features.",
    reference="waveform+log_mel",
)
