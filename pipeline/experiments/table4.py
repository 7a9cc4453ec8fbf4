"""Table 4: one format or two, on ESC-50."""

from pipeline.experiments import eval_inputs
from pipeline.experiments.experiment import Experiment

_BEFORE = (
    ("L3", "log-mel, video → log-mel", 0.793),
    ("AVTS", "log-mel, video → log-mel", 0.823),
    ("XDC", "log-mel, video → log-mel", 0.848),
    ("GDT", "log-mel, video → log-mel", 0.885),
    ("MMV", "log-mel, video, text → log-mel", 0.889),
    ("AVID", "log-mel, video → log-mel", 0.892),
)
_OURS = (0.863, 0.849, 0.897, 0.893, 0.905)
_AFTER = (("Supervised", "waveform, log-mel → log-mel", 0.908),)

EXPERIMENT = Experiment(
    name="table4",
    title="training inputs → evaluated inputs, ESC-50",
    layout=eval_inputs.layout(_BEFORE, _OURS, _AFTER, column="score"),
    paper="accuracy of a linear classifier on ESC-50 over its five folds, of models that learned from AudioSet",
    paper_metric="accuracy",
    note="Here the models learn from the clips that `--data` names, without their labels.",
    reference="waveform+log_mel",
)
