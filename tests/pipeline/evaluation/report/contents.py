"""A page's content for tests."""

import numpy as np

from pipeline.evaluation.report.content import ClassRow, ClipRow, Content, ScoreRow
from pipeline.evaluation.robustness.curves import Curve, Curves
from pipeline.evaluation.robustness.perturbations import KINDS

NASTY = '<script>alert("a")</script> & $x \udcff {y}'


def full(*, classes: int = 10, prefix: str = "class ") -> Content:
    """Returns a content with everything that a page can show."""
    random = np.random.default_rng(0)
    shares = random.random((classes, classes)) ** 8 + 2 * np.eye(classes)
    label_names = [f"{prefix}{i}" for i in range(classes)]
    return Content(
        model="runs/tiny/saved_model/5",
        data="~/ESC-10",
        verdict="accuracy 0.858 (95 % interval 0.822 to 0.890), 0.120 above untrained/both",
        facts={"clips": "400 (380 train, 20 valid)", "model": "runs/tiny/saved_model/5", "quarantined": "none"},
        metric="accuracy",
        other_metrics=("k-NN", "8-shot"),
        scores=[
            ScoreRow(name="both", score=0.858, low=0.822, high=0.89, others=(0.8, 0.6), is_model=True),
            ScoreRow(name="log_mel", score=0.8, low=0.76, high=0.84, others=(0.7, None), is_model=True),
            ScoreRow(name="untrained/both", score=0.738, low=0.7, high=0.77, others=(0.5, 0.4), is_model=False),
            ScoreRow(name="mfcc_mean_std", score=0.6, low=None, high=None, others=(None, None), is_model=False),
        ],
        classes=[
            ClassRow(name=name, clips=40, score=0.1 * i % 1, confused_with="class 1 (12 %)")
            for i, name in enumerate(label_names)
        ],
        confusion=shares / shares.sum(axis=1, keepdims=True),
        confusion_names=label_names,
        clips=[ClipRow(clip_id="dog/a.wav", truth="dog", predicted="cat 0.98, dog 0.01", mp3=b"sound")],
        robustness=Curves(
            clips=200,
            metric="accuracy",
            clean_score=0.86,
            curves={
                kind: Curve(
                    title=KINDS[kind].title,
                    unit=KINDS[kind].unit,
                    levels=KINDS[kind].levels,
                    cosines=tuple(np.linspace(1.0, 0.6, len(KINDS[kind].levels))),
                    low_cosines=tuple(np.linspace(0.95, 0.3, len(KINDS[kind].levels))),
                    scores=tuple(np.linspace(0.86, 0.2, len(KINDS[kind].levels))),
                )
                for kind in KINDS
            },
        ),
        notes=["Left out: 3 clips without a label."],
        tensorboard="tensorboard --logdir runs/evaluate/tensorboard",
    )
