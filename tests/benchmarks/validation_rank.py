"""Whether validation chooses the model that the Evaluator would choose: `python -m tests.benchmarks.validation_rank`.

Trains a small model, keeps a copy of it after some of the steps, and scores each copy as the Trainer's validation does,
by its probe and by its loss, and as the Evaluator does. Reports Spearman's rank correlation with the Evaluator's score,
with a 95 % interval from resampling the copies, and how far the model that validation chooses is from the best one. By
default most copies are of the first steps, in which a model improves quickly, for the ranks of equally good copies are
those of noise.

The corpus is generated as in the preset `quickstart`, but with more valid clips; with `--esc50` it is ESC-50, of which
folds 1 to 3 train, fold 4 validates and fold 5 evaluates. With `--work`, a run that was stopped continues.
"""

import argparse
import json
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from etils import epath
from scipy import stats

from beam_jobs import examples
from beam_jobs.embedding.embedder import TRAINED
from components.embedder.loaders import UntrainedLoader
from components.evaluator import EvaluatorConfig
from components.evaluator.evaluation import probe
from components.evaluator.features import BOTH
from components.evaluator.preparation import prepare
from components.synthetic_audio_gen import corpus
from components.trainer import TrainerConfig, compiled_loop, input_pipeline, validation
from models import dual
from pipeline.configs import overrides, presets
from tests.benchmarks import measuring
from tests.benchmarks.clips import Clip, embed, read_esc50
from tests.benchmarks.record import RESULTS
from tests.benchmarks.train_step import on_one_device
from tests.components import stored_examples

GENERATED_CLIPS = {"train": 576, "valid": 400, "eval": 400}
ESC50_SPLITS = {1: "train", 2: "train", 3: "train", 4: "valid", 5: "eval"}
COPIES = (0, 5, 10, 20, 30, 40, 60, 80, 120, 160, 240, 320, 480)
_RESAMPLINGS = 2000


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--esc50", type=pathlib.Path, help="ESC-50's folder; without it, the corpus is generated")
    parser.add_argument("--steps", type=int, default=480, help="steps of the training")
    parser.add_argument("--batch-size", type=int, default=32, help="clips in a batch")
    parser.add_argument(
        "--copies", type=_steps, default=COPIES, help="steps after which to score the model, with commas; 0: untrained"
    )
    parser.add_argument("--work", type=pathlib.Path, help="folder that keeps the examples and the copies")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    flags = parser.parse_args()
    config = overrides.replace(
        presets.config("tiny" if flags.esc50 else "quickstart").trainer,
        {"steps": flags.steps, "batch_size": flags.batch_size},
    )
    with tempfile.TemporaryDirectory() as temporary:
        work = flags.work or pathlib.Path(temporary)
        folder = work / "examples"
        if not folder.exists():
            clips, names = _esc50(flags.esc50) if flags.esc50 else _generated()
            stored_examples.write_examples(folder, clips, label_names=names, shards=4)
        clip_counts = dict(examples.read_info(folder).splits)
        rows = []
        for step, path in _train(config, folder, work=work, copies=flags.copies):
            known = path.with_suffix(".json")
            if not known.exists():
                known.write_text(json.dumps({"step": step, **score(path, config=config, folder=folder)}))
            rows.append(json.loads(known.read_text()))
            print(known.read_text(), flush=True)
    figures = {
        "corpus": "ESC-50" if flags.esc50 else "generated",
        "clips": clip_counts,
        "steps": flags.steps,
        "batch_size": flags.batch_size,
        "copies": list(flags.copies),
        **compare(rows),
        "rows": rows,
    }
    measuring.save("validation_rank", figures, results=flags.results)


def compare(rows: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float | list[float]]]:
    """Compares the scores of validation with those of the Evaluator.

    Args:
        rows: The scores of each copy: `probe`, `loss` and `evaluator`.

    Returns:
        For the probe and for the loss: Spearman's rank correlation, its interval, the step that it chooses, and the
        Evaluator's score of that copy less than that of the best copy.
    """
    evaluator = np.array([row["evaluator"] for row in rows])
    compared = {}
    for name, sign in (("probe", 1), ("loss", -1)):
        scores = sign * np.array([row[name] for row in rows])
        chosen = int(scores.argmax())
        compared[name] = {
            "spearman": round(float(stats.spearmanr(scores, evaluator).statistic), 3),
            "interval_95": _interval(scores, evaluator),
            "chosen_step": rows[chosen]["step"],
            "below_best": round(float(evaluator.max() - evaluator[chosen]), 4),
        }
    return compared


def _interval(scores: np.ndarray, evaluator: np.ndarray) -> list[float]:
    """Returns the 95 % interval of the rank correlation over resampled copies."""
    rng = np.random.default_rng(0)
    drawn = []
    while len(drawn) < _RESAMPLINGS:
        index = rng.integers(len(scores), size=len(scores))
        if np.ptp(scores[index]) and np.ptp(evaluator[index]):  # Otherwise the correlation is undefined.
            drawn.append(stats.spearmanr(scores[index], evaluator[index]).statistic)
    return [round(float(bound), 3) for bound in np.percentile(drawn, [2.5, 97.5])]


def _steps(text: str) -> tuple[int, ...]:
    return tuple(sorted({int(step) for step in text.split(",")}))


def _train(
    config: TrainerConfig, folder: pathlib.Path, *, work: pathlib.Path, copies: Sequence[int]
) -> Iterator[tuple[int, pathlib.Path]]:
    """Trains up to the last copy that is missing, and yields the copies of the model as files.

    On one device, the same steps end in the same weights, so that copies of an earlier run may stay.
    """
    paths = {step: work / f"step-{step:05d}.keras" for step in copies}
    missing = [step for step in copies if not paths[step].exists()]
    if missing:
        setup, batches = on_one_device(config, folder)
        loop = compiled_loop.make_loop(setup)
        done = 0
        for step in missing:
            if step > done:
                loop(batches, tf.constant(step - done))
            setup.model.save(paths[step])
            done = step
    yield from paths.items()


def score(path: pathlib.Path, *, config: TrainerConfig, folder: pathlib.Path) -> dict[str, float]:
    """Scores one copy.

    Args:
        path: Its file.
        config: Of its training.
        folder: The examples.

    Returns:
        `loss` and `probe` of validation, and `evaluator`, the Evaluator's score of both encoders together.
    """
    model: dual.DualEncoder = keras.models.load_model(path, compile=False)
    info = examples.read_info(folder)
    options = input_pipeline.InputOptions(
        batch_size=config.batch_size, crop_samples=model.crop_samples, seed=config.seed
    )
    result = validation.Validation(
        model,
        info=info,
        batch=input_pipeline.validation_batch(epath.Path(folder), options, max_clips=512),
        temperature=config.temperature,
        probe_clips=config.probe_clips,
        chunk=64,
        seed=config.seed,
    ).run()
    return {"loss": result.figures["loss"], "probe": result.score, "evaluator": _evaluate(path, info)}


def _evaluate(path: pathlib.Path, info: examples.ExamplesInfo) -> float:
    """Returns the Evaluator's score of a copy, the mAP of its mlp probe on the eval split."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, config = epath.Path(temporary), EvaluatorConfig(probe="mlp")
        shutil.copy(path, folder / "initial.keras")
        embeddings = embed(UntrainedLoader(str(folder)), info, folder=folder)
        prepared = prepare(embeddings, config)
        both = [one for one in prepared.sets[TRAINED] if one.name == BOTH]
        return probe(embeddings, both, prepared, config)[BOTH].score


def _generated() -> tuple[dict[str, list[Clip]], Sequence[str]]:
    clips: dict[str, list[Clip]] = {}
    for split, count in GENERATED_CLIPS.items():
        generated = [corpus.generate(split, i, seed=0, seconds=10.0, sample_rate=16000) for i in range(count)]
        clips[split] = [(clip.audio, clip.classes, 0) for clip in generated]
    return clips, corpus.CLASSES


def _esc50(folder: pathlib.Path) -> tuple[dict[str, list[Clip]], Sequence[str]]:
    clips: dict[str, list[Clip]] = {"train": [], "valid": [], "eval": []}
    read, names = read_esc50(folder)
    for audio, labels, fold in read:
        clips[ESC50_SPLITS[fold]].append((audio, labels, 0))
    return clips, names


if __name__ == "__main__":
    main()
