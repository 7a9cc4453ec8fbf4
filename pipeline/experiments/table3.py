"""Table 3: one format or two, on AudioSet."""

from pipeline.experiments import eval_inputs
from pipeline.experiments.experiment import Experiment

_BEFORE = (
    ("Triplet", "log-mel → log-mel", 0.244),
    ("L3", "log-mel, video → log-mel", 0.249),
    ("CPC", "waveform → waveform", 0.277),
    ("C3", "log-mel, video → log-mel", 0.285),
    ("MMV", "log-mel, video, text → log-mel", 0.309),
)
_OURS = (0.329, 0.336, 0.368, 0.355, 0.376)
_AFTER = (("Supervised", "waveform, log-mel → both", 0.439),)

EXPERIMENT = Experiment(
    name="table3",
    title="training inputs → evaluated inputs, AudioSet",
    layout=eval_inputs.layout(_BEFORE, _OURS, _AFTER, column="score"),
    paper="test mAP on AudioSet, of a shallow model on fixed representations",
    paper_metric="mAP",
    reference="waveform+log_mel",
)
