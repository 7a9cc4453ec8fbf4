"""Figure 2: which formats to contrast, one or two of the four."""

import itertools
from typing import TYPE_CHECKING

from pipeline.experiments import formats, table2
from pipeline.experiments.experiment import Experiment, Layout, Place

if TYPE_CHECKING:
    from pipeline.configs.config import PipelineConfig

_FORMATS = ("waveform", "log_mel", "spectrogram", "mfcc")


def _layout(config: "PipelineConfig") -> Layout:
    singles = [(name,) for name in _FORMATS]
    cells = [formats.cell(config, *names) for names in (*singles, *itertools.combinations(_FORMATS, 2))]
    cells += [formats.wide_cell(config, name) for name in ("waveform", "log_mel")]
    encoders = config.trainer.model.encoders
    # The figure is a plot without numbers; table 2 gives this one.
    paper = {"waveform+log_mel": table2.paper_score(waveform=encoders.waveform, log_mel=encoders.log_mel)}
    places = [Place(row=cell.name, column="score", cell=cell.name, paper=paper.get(cell.name)) for cell in cells]
    return Layout(cells=cells, places=places)


EXPERIMENT = Experiment(
    name="figure2",
    title="formats, alone and in pairs",
    layout=_layout,
    paper="validation mAP on AudioSet",
    paper_metric="mAP",
    note="Of the base model, the paper says that waveform+log_mel improves relatively upon waveform by 15 % and upon "
    "log_mel by 41 %. One format has one encoder, and two formats have two, so that theirs are twice as many features. "
    "A cell whose name ends in -wide, which the paper has not, is of one format with twice the width, so as many.",
    reference="waveform+log_mel",
)
