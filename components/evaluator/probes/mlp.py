"""The mlp probe: one hidden layer and a sigmoid per class, scored on the eval split (paper, section 3) or by fold."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from beam_jobs.embedding.read import Embeddings
from components import metrics
from components.evaluator import vectors
from components.evaluator.clips import Clips
from components.evaluator.config import EvaluatorConfig
from components.evaluator.features import FeatureSet
from components.evaluator.folds import make_folds_to_choose
from components.evaluator.probes import cross_validated, streamed
from components.evaluator.probes import networks as networks_module
from components.evaluator.probes.cross_validated import Chosen
from components.evaluator.probes.networks import Networks
from components.evaluator.probes.pools import Pools
from components.evaluator.probes.result import ProbeResult
from components.evaluator.probes.validation import Validation

MIN_VALIDATION_CLIPS = 200
"""With fewer labeled clips in the valid split, the best step would be chosen by noise."""

_CROSS_VALIDATED_ROWS = 30_000
_CROSS_VALIDATED_LABELS = 2**21  # Rows times classes.
_VALIDATION_BYTES = 2**29
_HELD_OUT = 10  # Of this many folds of the train split, one validates if the valid split is too small.
_RECALLS = np.linspace(0, 1, 21)


def probe(
    embeddings: Embeddings,
    sets: Sequence[FeatureSet],
    clips: Clips,
    *,
    scored: Collection[int],
    classes: int,
    by_fold: bool,
    config: EvaluatorConfig,
) -> dict[str, ProbeResult]:
    """Trains a classifier for each set of features of one embedder; the score is the mAP on the eval split.

    Where there is none, each fold is tested by classifiers that were trained on the others, and the score is the mAP of
    all clips in folds.

    The classifiers train on each sub-clip of the train split, or of the other folds, with the labels of its clip and on
    standardized features; the paper does not say whether it standardizes. They average the logits over the sub-clips of
    a test clip.

    Where at least 200 labeled clips of the valid split validate, the step with the best validation mAP is kept.
    Otherwise a tenth of the training clips validates or, if they are few, cross-validation on them chooses the epoch,
    or a logistic regression without a hidden layer: the best epoch on a few clips is noise, and a network is not the
    best classifier of all features that few clips allow.

    Args:
        embeddings: The embeddings.
        sets: The sets of features.
        clips: All clips of the embedder.
        scored: The classes that are learned and scored.
        classes: Number of classes.
        by_fold: Whether the folds are tested in turn, and not the eval split.
        config: The settings.

    Returns:
        Name of the set -> result.

    Raises:
        ValueError: No tested clip has a label that is scored; `choice.allows` tells.
    """
    labeled = clips.label_counts > 0
    clips = clips.take(np.ones(len(clips), bool), classes=scored)
    tester = _Tester(embeddings=embeddings, sets=sets, clips=clips, scored=scored, classes=classes, config=config)
    return tester.test_folds(labeled) if by_fold else tester.test_splits(labeled)


_Tested = dict[str, tuple[np.ndarray, dict[str, object]]]
"""Name of the set -> logits of the tested clips, float32 (tested clips, classes), and how the classifier was chosen."""


class _Tester:
    """Trains classifiers on some clips of an embedder, and tests them on others."""

    def __init__(
        self,
        *,
        embeddings: Embeddings,
        sets: Sequence[FeatureSet],
        clips: Clips,
        scored: Collection[int],
        classes: int,
        config: EvaluatorConfig,
    ):
        self._embeddings, self._sets, self._clips = embeddings, sets, clips
        self._scored, self._classes, self._config = scored, classes, config
        self._embedder = sets[0].embedder
        self._columns = tuple(dict.fromkeys(column for one in sets for column in one.columns))
        self._dims = embeddings.info.embedders[self._embedder].dims

    def test_splits(self, labeled: np.ndarray) -> dict[str, ProbeResult]:
        """Tests the labeled clips of the eval split after training on those of the other splits."""
        train, valid, tested = (labeled & (self._clips.splits == split) for split in ("train", "valid", "eval"))
        return {name: self._result(tested, *of_set) for name, of_set in self._test(train, valid, tested=tested).items()}

    def test_folds(self, labeled: np.ndarray) -> dict[str, ProbeResult]:
        """Tests each fold after training on all other labeled clips."""
        in_folds = labeled & (self._clips.folds > 0)
        folds = self._clips.folds[in_folds]
        logits = {one.name: np.zeros((len(folds), self._classes), np.float32) for one in self._sets}
        details: dict[str, dict[str, object]] = {one.name: {} for one in self._sets}
        for fold in np.unique(folds).tolist():
            tested = in_folds & (self._clips.folds == fold)
            no_clip = np.zeros_like(tested)  # The valid split of the pretraining has no part in this.
            for name, (of_fold, chosen) in self._test(labeled & ~tested, no_clip, tested=tested).items():
                logits[name][folds == fold] = of_fold
                details[name][str(fold)] = chosen
        return {name: self._result(in_folds, values, {"folds": details[name]}) for name, values in logits.items()}

    def _test(self, training: np.ndarray, validation: np.ndarray, *, tested: np.ndarray) -> _Tested:
        """Trains on some clips and classifies others. All arguments are bool (clips,)."""
        clips, scored = self._clips, self._scored
        has_valid = (
            validation.sum() >= MIN_VALIDATION_CLIPS and clips.take(validation, classes=scored).label_values.size
        )
        rows = int(clips.rows[training].sum())
        if not has_valid and rows <= _CROSS_VALIDATED_ROWS and rows * len(scored) <= _CROSS_VALIDATED_LABELS:
            return self._cross_validate(training, tested=tested)
        chosen_by = "the valid split"
        if not has_valid:
            chosen_by = "a tenth of the training clips"
            train = clips.take(training, classes=scored)
            validation = np.zeros(len(clips), bool)
            validation[np.flatnonzero(training)[make_folds_to_choose(train, folds=_HELD_OUT) == 1]] = True
            training = training & ~validation
        return self._stream(training, validation, tested=tested, details={"chosen_by": chosen_by})

    def _stream(
        self, training: np.ndarray, validation: np.ndarray, *, tested: np.ndarray, details: Mapping[str, object]
    ) -> _Tested:
        """Trains on some clips, which are read in every epoch, and keeps the step that is best on others."""
        validation = self._bounded(validation)
        kept = self._clips.take(validation, classes=range(self._classes))
        groups = vectors.locate(self._embeddings, self._embedder, self._clips, chosen=training)
        trained = streamed.train(
            self._sets,
            Pools(groups, columns=self._columns, dims=self._dims, seed=self._config.seed),
            self._clips,
            Validation(vectors=self._read(validation), rows=kept.rows, targets=kept.targets(self._classes)),
            classes=self._classes,
            config=self._config,
        )
        logits = self._classify(trained.networks, tested)
        results = {}
        for one in self._sets:
            best_step, best_epoch = trained.best[one.name]
            results[one.name] = (
                logits[one.name],
                {
                    **details,
                    "validation_clips": len(kept),
                    "hidden": self._config.mlp_hidden,
                    "steps": trained.steps,
                    "best_step": best_step,
                    "epochs": trained.epochs,
                    "best_epoch": best_epoch,
                },
            )
        return results

    def _cross_validate(self, training: np.ndarray, *, tested: np.ndarray) -> _Tested:
        """Trains on a few clips, and chooses the classifier by cross-validation on them."""
        train = self._clips.take(training, classes=range(self._classes))
        read = self._read(training)
        chosen = cross_validated.choose(self._sets, read, train, classes=self._classes, config=self._config)
        logits = self._classify(self._networks(chosen, statistics=networks_module.measure(read)), tested)
        means = vectors.read_means(self._embeddings, self._embedder, self._clips, chosen=tested, columns=self._columns)
        for one in self._sets:
            regression = chosen[one.name].regression
            if regression is not None:
                logits[one.name] = regression.logits(vectors.concatenated(means, one.columns), problem=0)
        by = {"chosen_by": "cross-validation on the training clips"}
        return {name: (logits[name], {**by, **chosen[name].details}) for name in logits}

    def _networks(
        self, chosen: Mapping[str, Chosen], *, statistics: Mapping[str, tuple[np.ndarray, np.ndarray]]
    ) -> Networks:
        networks = Networks(
            self._sets,
            statistics=statistics,
            hidden=self._config.mlp_hidden,
            classes=self._classes,
            learning_rate=self._config.mlp_learning_rate,
            seed=self._config.seed,
        )
        for name, one in chosen.items():
            networks.restore(name, one.weights)
        return networks

    def _read(self, chosen: np.ndarray) -> dict[str, np.ndarray]:
        return vectors.read_rows(self._embeddings, self._embedder, self._clips, chosen=chosen, columns=self._columns)

    def _bounded(self, validation: np.ndarray) -> np.ndarray:
        """Returns as many of the validation clips as fit into memory. Files are hash samples, so the first are, too."""
        row_bytes = 2 * sum(self._dims[name] for name in self._columns)
        rows = np.cumsum(np.where(validation, self._clips.rows, 0))
        return validation & (rows <= max(_VALIDATION_BYTES // row_bytes, rows[np.flatnonzero(validation)[0]]))

    def _classify(self, networks: Networks, tested: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the logits of the tested clips, averaged over their rows: float32 (tested clips, classes)."""
        return vectors.means_by_clip(
            vectors.blocks(self._embeddings, self._embedder, self._clips, chosen=tested, columns=self._columns),
            self._clips,
            chosen=tested,
            dims={one.name: self._classes for one in self._sets},
            values_of=lambda rows: {name: logits[0] for name, logits in networks.logits(rows).items()},
        )

    def _result(self, tested: np.ndarray, logits: np.ndarray, details: Mapping[str, object]) -> ProbeResult:
        """Scores the tested clips."""
        clips = self._clips.take(tested, classes=range(self._classes))
        targets = clips.targets(self._classes)
        scores = metrics.multi_label(targets, logits)
        if scores["mAP"] is None:
            raise ValueError("no tested clip has a label that is scored")
        curve = metrics.mean_precision_at(targets, logits, recalls=_RECALLS)
        figures = {name: value for name, value in scores.items() if name != "average_precision"}
        return ProbeResult(
            score=scores["mAP"],
            class_scores=scores["average_precision"],
            details={
                **figures,
                **details,
                "precision_recall": {"recall": _RECALLS.round(4).tolist(), "precision": curve.round(4).tolist()},
            },
            tested=clips,
            logits=logits,
        )
