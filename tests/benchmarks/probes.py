"""Time and memory of the Evaluator at AudioSet's size: `python -m tests.benchmarks.probes`.

Writes random float16 vectors of two embeddings of 2,048 elements for a tenth of two million clips, with labels drawn by
the class sizes of AudioSet's own lists (Gemmeke et al. 2017; CC BY 4.0), and evaluates them in a fresh process: one
pass of the mlp probe over the training rows for all three sets of features, and everything else that the Evaluator
reports. The time of the pass, which ends with the classification of the eval split, is multiplied up to two million
rows; the rest does not grow with them.

Then the linear probe on features of ESC-50's size, and average precisions and areas under the ROC curve of 50,000 clips
and 527 classes, by scikit-learn class by class and by `components.metrics`.
"""

import argparse
import dataclasses
import json
import pathlib
import shutil
import sys
import tempfile
import time

import numpy as np

from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS

ALL_ROWS = 2_000_000
DIM = 2048
_CLASS_SIZES = pathlib.Path(__file__).with_name("audioset_class_sizes.json")
_FILE_ROWS = 12_500
_METRIC_CLIPS = 50_000
_DRAWS = 2  # Of the 10 of the 8-shot probe. They take the same time.
_MODULE = "tests.benchmarks.probes"


def main() -> None:
    """Runs the command, or one measurement in a process that the command started."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ALL_ROWS // 10, help="training rows; 200,000 take 1.7 GB on disk")
    parser.add_argument("--work", type=pathlib.Path, help="where to write them; by default a temporary folder")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    parser.add_argument("--audioset", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--linear", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--metrics", action="store_true", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    for wanted, measure in (
        (flags.audioset, lambda: _evaluate(flags.audioset)), (flags.linear, _linear), (flags.metrics, _metrics)
    ):  # fmt: skip
        if wanted:
            print(json.dumps(measure()))
            return
    folder = pathlib.Path(tempfile.mkdtemp(dir=flags.work)) / "embeddings"
    try:
        write_embeddings(folder, rows=flags.rows)
        audioset = measuring.in_a_fresh_process(_MODULE, "--audioset", folder)
    finally:
        shutil.rmtree(folder.parent)
    hours = audioset["pass_s"] * ALL_ROWS / flags.rows / 3600
    figures = {
        "audioset": {"rows": flags.rows, **audioset, "all_rows": ALL_ROWS, "pass_over_all_rows_h": round(hours, 2)},
        "linear": measuring.in_a_fresh_process(_MODULE, "--linear"),
        "metrics": measuring.in_a_fresh_process(_MODULE, "--metrics"),
    }
    measuring.save("probes", figures, results=flags.results)


def write_embeddings(folder: pathlib.Path, *, rows: int) -> None:
    """Writes a simulated AudioSet: `rows` training clips, a hundredth as many valid ones, and its own eval split."""
    # Imported here because the parent process of the other measurements needs no PyArrow.
    import pyarrow.parquet as pq

    from beam_jobs.embedding import info, table
    from beam_jobs.embedding.embedder import Framing
    from beam_jobs.embedding.write import ROW_GROUP_ROWS

    rng = np.random.default_rng(0)
    sizes = json.loads(_CLASS_SIZES.read_text())
    splits = {"train": rows, "valid": max(500, rows // 100), "eval": sizes["eval"]["segments"]}
    (folder / "trained").mkdir(parents=True)
    files: dict[str, dict[str, int]] = {}
    for split, count in splits.items():
        source = sizes["eval" if split == "eval" else "balanced_train"]
        shares = np.array(source["class_sizes"]) / source["segments"]
        parts = [part for part in np.array_split(np.arange(count), -(-count // _FILE_ROWS)) if len(part)]
        files[split] = {}
        for number, part in enumerate(parts):
            name = f"{split}-{number:05d}-of-{len(parts):05d}.parquet"
            written = _rows(split, part, shares, rng)
            pq.write_table(table.to_arrow(written), folder / "trained" / name, row_group_size=ROW_GROUP_ROWS)
            files[split][name] = len(part)
    trained = info.EmbedderInfo(
        digest="random",
        framing=Framing(sample_rate=16000, window_samples=48000, hop_samples=24000),
        dims={"waveform": DIM, "log_mel": DIM},
        clips=splits,
        files=files,
    )
    names = tuple(f"class {k}" for k in range(len(sizes["eval"]["class_sizes"])))
    info.EmbeddingsInfo(
        label_names=names, has_folds=False, splits=splits, row="clip", embedders={"trained": trained}
    ).write(folder)


def _rows(split: str, numbers: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> "table.Rows":  # noqa: F821
    from beam_jobs.embedding import table  # See `write_embeddings`.

    targets = rng.random((len(numbers), len(shares)), np.float32) < shares
    return table.Rows(
        clip_ids=np.array([f"{split}-{number}" for number in numbers], object),
        splits=np.full(len(numbers), split, object),
        folds=np.zeros(len(numbers), np.int32),
        label_values=np.nonzero(targets)[1].astype(np.int32),
        label_offsets=np.append(0, np.cumsum(targets.sum(axis=1))),
        start_s=np.zeros(len(numbers)),
        end_s=np.full(len(numbers), 10.0),
        vectors={
            name: rng.standard_normal((len(numbers), DIM), np.float32).astype(np.float16)
            for name in ("waveform", "log_mel")
        },
    )


def _evaluate(folder: pathlib.Path) -> dict[str, object]:
    """Evaluates the simulated AudioSet with one pass of the probe."""
    # Imported here because only this process needs TensorFlow.
    from beam_jobs.embedding.read import Embeddings
    from components.evaluator import EvaluatorConfig, evaluation, preparation
    from components.evaluator.probes import bootstrap, few_shot, others

    config = EvaluatorConfig(probe="mlp", mlp_epochs=1)
    embeddings = Embeddings(folder)
    clock = _Clock()
    prepared = preparation.prepare(embeddings, config)
    clock.lap("read_clips_s")
    sets, clips = prepared.sets["trained"], prepared.clips["trained"]
    results = evaluation.probe(embeddings, sets, prepared, config)
    clock.lap("pass_s")
    bootstrap.intervals(results, metric="mAP", seed=0)
    clock.lap("intervals_s")
    bootstrap.compare(results, baseline="waveform", metric="mAP", seed=0)
    clock.lap("comparison_s")
    few_shot.DRAWS = _DRAWS
    others.score(
        embeddings,
        sets,
        clips,
        chosen=clips.label_counts > 0,
        scored=prepared.choice.classes,
        classes=len(embeddings.info.label_names),
        metric="mAP",
        by_fold=False,
        seed=0,
    )
    clock.lap("knn_few_shot_retrieval_s")
    return {
        "sets": len(sets),
        "steps": results["both"].details["steps"],
        "few_shot_draws": _DRAWS,
        **clock.laps,
        "peak_mib": measuring.peak_kib() // 1024,
    }


def _linear() -> dict[str, object]:
    """Scores clips of ESC-50's number, classes, folds and windows, scattered around the centers of their classes."""
    # Imported here because only this process needs it.
    from components.evaluator.clips import Clips
    from components.evaluator.probes import linear

    rng = np.random.default_rng(0)
    clips, classes, windows = 2000, 50, 3
    labels = np.arange(clips) % classes
    table = Clips(
        clip_ids=np.array([str(k) for k in range(clips)], object),
        splits=np.full(clips, "train"),
        folds=np.arange(clips) // classes % 5 + 1,
        label_values=labels,
        label_offsets=np.arange(clips + 1),
        rows=np.full(clips, windows),
    )
    # Like real embeddings, they are correlated: most of their variance lies in a few directions.
    mixing = rng.standard_normal((DIM, DIM), np.float32) * np.exp(-np.arange(DIM) / 200, dtype=np.float32)[:, None]
    halves = []
    for _ in range(2):
        x = 0.6 * rng.standard_normal((classes, DIM), np.float32)[labels] + rng.standard_normal(
            (clips, DIM), np.float32
        )
        x = np.repeat(x, windows, axis=0) + 0.7 * rng.standard_normal((clips * windows, DIM), np.float32)
        halves.append(np.maximum(x @ mixing, 0))
    measured = {}
    for dim, x in ((DIM, halves[0]), (2 * DIM, np.concatenate(halves, axis=1))):
        started = time.perf_counter()
        result = linear.probe(x, table, classes=classes, c_grid=_c_grid())
        measured[str(dim)] = {
            "seconds": round(time.perf_counter() - started, 1),
            "accuracy": round(result.score, 4),
            "C": result.details["C"],
            "not_converged": result.details["not_converged"],
        }
    return {
        "clips": clips,
        "windows": clips * windows,
        "strengths": len(_c_grid()),
        "dims": measured,
        "peak_mib": measuring.peak_kib() // 1024,
    }


def _c_grid() -> tuple[float, ...]:
    from components.evaluator import EvaluatorConfig  # Imported here as in `_linear`.

    return EvaluatorConfig().linear_c


def _metrics() -> dict[str, object]:
    """Ranks all classes with scikit-learn and with `components.metrics`."""
    # Imported here because only this process needs them.
    from sklearn.metrics import average_precision_score, roc_auc_score

    from components import metrics

    sizes = json.loads(_CLASS_SIZES.read_text())["eval"]
    rng = np.random.default_rng(0)
    shares = np.array(sizes["class_sizes"]) / sizes["segments"]
    targets = rng.random((_METRIC_CLIPS, len(shares)), np.float32) < shares
    scores = rng.standard_normal(targets.shape, np.float32)
    clock = _Clock()
    pairs = list(zip(targets.T, scores.T, strict=True))
    precisions = [average_precision_score(truth, score) for truth, score in pairs]
    areas = [roc_auc_score(truth, score) for truth, score in pairs]
    clock.lap("scikit_learn_s")
    ours = metrics.average_precisions(targets, scores)
    clock.lap("average_precisions_s")
    our_areas = metrics.areas_under_roc(targets, scores)
    clock.lap("areas_s")
    differences = (ours - precisions, our_areas - areas)
    largest = max(float(np.abs(difference).max()) for difference in differences)
    return {"clips": _METRIC_CLIPS, "classes": len(shares), **clock.laps, "largest_difference": largest}


@dataclasses.dataclass
class _Clock:
    """Measures one part after the other."""

    laps: dict[str, float] = dataclasses.field(default_factory=dict)
    _started: float = dataclasses.field(default_factory=time.perf_counter)

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round(now - self._started, 1)
        self._started = now
        print(name, self.laps[name], file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
