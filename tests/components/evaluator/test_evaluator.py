import json

import keras
import librosa
import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs.examples import read_info
from components import metrics
from components.errors import UserError
from components.evaluator import Evaluator, EvaluatorConfig, baselines, embeddings, probes
from components.evaluator.component import bless, choose_probe
from components.exporter import saved_model
from models import dual
from models.config import ModelConfig
from tests.components import harness, stored_examples

CROP = 0.5


def _average_precision(truth, scores):
    """By its definition: precision at each rank where recall rises; ties share a rank."""
    total = 0.0
    for threshold in sorted(set(scores), reverse=True):
        taken = scores >= threshold
        newly = truth & (scores == threshold)
        total += newly.sum() / truth.sum() * (truth & taken).sum() / taken.sum()
    return total


def _area(truth, scores):
    """By its definition: the share of pairs ranked right; ties count half."""
    pairs = scores[truth][:, None] - scores[~truth][None]
    return ((pairs > 0) + 0.5 * (pairs == 0)).mean()


@given(seed=st.integers(0, 1000), clips=st.integers(2, 30), levels=st.integers(2, 6))
def test_metrics_agree_with_their_definitions(seed, clips, levels):
    rng = np.random.default_rng(seed)
    truth, scores = rng.random((clips, 4)) < 0.4, rng.integers(levels, size=(clips, 4)) / levels
    found = metrics.multi_label(truth, scores)
    known = [k for k in range(4) if truth[:, k].any()]
    assert found["classes_left_out"] == 4 - len(known)
    if not known:
        assert found["mAP"] is None
        return
    expected = [_average_precision(truth[:, k], scores[:, k]) for k in known]
    np.testing.assert_allclose(found["mAP"], np.mean(expected))
    areas = [_area(truth[:, k], scores[:, k]) for k in known if not truth[:, k].all()]
    if areas:
        np.testing.assert_allclose(found["AUC"], np.mean(areas))


def test_d_prime_of_known_areas():
    np.testing.assert_allclose(metrics.d_prime(0.5), 0.0, atol=1e-12)
    np.testing.assert_allclose(metrics.d_prime(0.76024994), 1.0, atol=1e-6)  # two unit normals, one deviation apart
    assert np.isfinite(metrics.d_prime(1.0))


def test_mfcc_agrees_with_librosa():
    audio = np.random.default_rng(0).normal(scale=0.1, size=16000).astype(np.float32)
    audio += 0.3 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
    found = baselines.MfccStatistics(sample_rate=16000, crop=16000)
    # librosa centres the 320-sample window in its 512-sample frame: 96 samples on either side.
    power = librosa.feature.melspectrogram(
        y=np.pad(audio, 96), sr=16000, n_fft=512, win_length=320, hop_length=160, center=False,
        n_mels=80, fmin=60, fmax=7800, htk=True, norm=None,
    )  # fmt: skip
    expected = librosa.feature.mfcc(S=np.log(power + 1e-6), n_mfcc=13, norm="ortho").T
    mfcc = found.mfcc(audio[None])[0].numpy()
    assert mfcc.shape == expected.shape
    np.testing.assert_allclose(mfcc, expected, atol=0.05)  # the triangles are straight in mel here, in Hz there
    statistics = found.windows(tf.constant(audio[None]))[0, 0].numpy()
    np.testing.assert_allclose(statistics, np.concatenate([expected.mean(0), expected.std(0)]), atol=0.05)


@pytest.mark.parametrize("sample_rate", [2000, 8000, 22050, 44100, 48000])
def test_mfcc_statistics_are_there_at_any_sample_rate(sample_rate):
    audio = np.random.default_rng(0).normal(size=(1, sample_rate)).astype(np.float32)
    found = baselines.MfccStatistics(sample_rate=sample_rate, crop=sample_rate).windows(tf.constant(audio))
    assert found.shape == (1, 1, 26)
    assert np.isfinite(found).all()


def _clips(*, clips=200, classes=4, dim=8, folds=5, separation=2.0, windows=(2, 3), splits=None, seed=0):
    """Windows scattered around the centre of their clip's class."""
    rng = np.random.default_rng(seed)
    labels, centres = rng.integers(classes, size=clips), rng.normal(size=(classes, dim))
    counts = rng.integers(windows[0], windows[1] + 1, size=clips)
    owner = np.repeat(np.arange(clips), counts)
    x = separation * centres[labels[owner]] + rng.normal(size=(clips, dim))[owner] + rng.normal(size=(owner.size, dim))
    return embeddings.Clips(
        features={"x": (100 * x + 5).astype(np.float32), "noise": rng.normal(size=x.shape).astype(np.float32)},
        window_counts=counts,
        clip_ids=[str(k) for k in range(clips)],
        labels=[(int(label),) for label in labels],
        folds=np.arange(clips) % folds + 1 if folds else np.zeros(clips, int),
        splits=np.array(splits or ["train"] * clips),
    )


def test_clip_means_are_over_each_clips_own_windows():
    clips = _clips(clips=5)
    means = clips.clip_means(clips.features["x"])
    for clip in range(5):
        np.testing.assert_allclose(means[clip], clips.features["x"][clips.owner == clip].mean(axis=0), rtol=1e-5)


def test_linear_probe_finds_what_is_there_and_nothing_where_there_is_nothing():
    clips = _clips()
    good = probes.linear(clips, "x", classes=4, c_grid=(0.01, 0.1, 1.0))
    noise = probes.linear(clips, "noise", classes=4, c_grid=(0.01, 0.1, 1.0))
    assert good.score > 0.9
    assert noise.score < 0.4
    assert set(good.details["folds"]) == {"1", "2", "3", "4", "5"}
    np.testing.assert_allclose(good.score, np.mean(list(good.details["folds"].values())))
    truth = np.array([label for (label,) in clips.labels])
    np.testing.assert_allclose(np.mean(good.predictions == truth), good.score)  # folds of equal size


def test_linear_probe_chooses_on_the_first_fold():
    result = probes.linear(_clips(separation=0.7), "x", classes=4, c_grid=(1e-4, 0.1, 10.0))
    tried = result.details["first_fold_by_C"]
    assert tried[str(result.details["C"])] == max(tried.values()) == result.details["folds"]["1"]


def test_linear_probe_never_learns_from_the_fold_it_is_tested_on():
    """Fold k holds class k alone, so an honest probe is always wrong."""
    clips = _clips(classes=5, folds=5)
    aside = embeddings.Clips(**{**vars(clips), "folds": np.array([1 + label for (label,) in clips.labels])})
    assert probes.linear(aside, "x", classes=5, c_grid=(0.1, 1.0)).score == 0.0


def test_mlp_probe_learns_more_than_one_label_a_clip():
    splits = ["train"] * 140 + ["valid"] * 20 + ["eval"] * 40
    clips = _clips(splits=splits, folds=0)
    twice = embeddings.Clips(**{**vars(clips), "labels": [(a, 4) if a < 2 else (a,) for (a,) in clips.labels]})
    options = {"hidden": 32, "epochs": 12, "patience": 6, "batch_size": 32, "learning_rate": 1e-2, "seed": 0}
    good = probes.mlp(twice, "x", classes=6, **options)
    noise = probes.mlp(twice, "noise", classes=6, **options)
    assert good.score > 0.9 > 0.7 > noise.score
    assert good.class_scores[5] is None  # no clip has it
    assert good.details["classes_left_out"] == 1
    again = probes.mlp(twice, "x", classes=6, **options)
    np.testing.assert_allclose(again.score, good.score, atol=1e-3)


@pytest.mark.parametrize(("valid", "chooses"), [(199, False), (200, True)])
def test_mlp_probe_chooses_its_epoch_only_by_enough_validation_clips(valid, chooses):
    splits = ["train"] * 60 + ["valid"] * valid + ["eval"] * 20
    clips = _clips(clips=len(splits), splits=splits, folds=0)
    options = {"hidden": 32, "epochs": 8, "patience": 2, "batch_size": 32, "learning_rate": 0.1, "seed": 0}
    details = probes.mlp(clips, "noise", classes=5, **options).details
    if chooses:
        assert 1 <= details["best_epoch"] <= details["epochs"]
    else:
        assert details["best_epoch"] is None
        assert details["epochs"] == 8


@pytest.mark.parametrize("few", [True, False])
def test_embedding_keeps_the_order_whatever_the_lengths(few):
    rng = np.random.default_rng(0)
    sizes = [5, 9, 17] if few else range(1, 300)
    raw = [
        {"audio": rng.integers(-9999, 9999, size=rng.choice(sizes), dtype=np.int16), "clip_id": b"%d" % k,
         "labels": np.array([k % 3]), "fold": k % 2, "split": "train"}
        for k in range(300)
    ]  # fmt: skip
    crop = 8

    def embedder(audio):
        mean = tf.reduce_mean(audio, axis=1)[:, None, None]
        return {embeddings.MFCC: tf.tile(mean, (1, max(1, audio.shape[1] // crop), 1))}

    clips = embeddings.embed(iter(raw), embedder, crop=crop)
    assert clips.clip_ids == [str(k) for k in range(300)]
    assert clips.labels == [(k % 3,) for k in range(300)]
    expected = [row["audio"].astype(np.float32).mean() / 32768 for row in raw]
    np.testing.assert_allclose(clips.clip_means(clips.features[embeddings.MFCC])[:, 0], expected, atol=1e-6)
    np.testing.assert_array_equal(clips.window_counts, [max(1, row["audio"].size // crop) for row in raw])


@pytest.mark.parametrize(
    ("scores", "margin", "blessed", "named"),
    [
        ({"both": 0.6, "untrained/both": 0.4, "mfcc_mean_std": 0.5}, 0.0, True, ""),
        ({"both": 0.6, "untrained/both": 0.4, "mfcc_mean_std": 0.6}, 0.0, False, "mfcc_mean_std"),
        ({"both": 0.6, "untrained/both": 0.55, "mfcc_mean_std": 0.4}, 0.1, False, "untrained/both"),
    ],
)
def test_blessing(scores, margin, blessed, named):
    verdict = bless(scores, min_margin=margin)
    assert verdict["blessed"] is blessed
    assert named in " ".join(verdict["reasons"])


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """A model that was never trained, of two formats and of one with the baseline's name, and labelled examples."""
    folder = tmp_path_factory.mktemp("evaluator")
    made = {}
    for name, formats in {"dual": "waveform+log_mel", "single": "mfcc+mfcc"}.items():
        made[name] = epath.Path(folder / name)
        keras.utils.set_random_seed(0)
        model = dual.DualEncoder(ModelConfig(formats=formats, width=0.03125, crop_seconds=CROP))
        (made[name] / "model").mkdir(parents=True)
        model.save(str(made[name] / "model" / "initial.keras"))
        saved_model.export(model, made[name] / "saved_model")
    clips = [(stored_examples.sound(k % 2, seed=k), (k % 2,), k % 5 + 1) for k in range(20)]
    made["folds"] = stored_examples.write_examples(
        folder / "folds", {"train": clips[:15], "valid": clips[15:]}, label_names=("tone", "noise"), has_folds=True
    )
    flat = [(audio, labels, 0) for audio, labels, _ in clips]
    splits = {"train": flat[:10], "valid": flat[10:14], "eval": flat[14:]}
    made["splits"] = stored_examples.write_examples(folder / "splits", splits, label_names=("tone", "noise", "never"))
    made["unlabelled"] = stored_examples.write_examples(folder / "unlabelled", {"train": [(clips[0][0], (), 0)]})
    return made


def _evaluate(artifacts, model, examples, folder, **config):
    inputs = {
        "examples": artifacts[examples],
        "model": artifacts[model] / "model",
        "saved_model": artifacts[model] / "saved_model",
    }
    run = harness.execute(Evaluator(EvaluatorConfig(**config)), folder, **inputs)
    report = json.loads((run.outputs["evaluation"] / "metrics.json").read_text())
    return report, json.loads((run.outputs["blessing"] / "blessing.json").read_text()), run.result, run.context


def test_evaluates_by_the_folds(artifacts, tmp_path):
    report, verdict, result, context = _evaluate(artifacts, "dual", "folds", tmp_path)
    assert (report["probe"], report["metric"]) == ("linear", "accuracy")
    sets = ["waveform", "log_mel", "both", "untrained/waveform", "untrained/log_mel", "untrained/both", "mfcc_mean_std"]
    assert list(report["scores"]) == sets
    assert report["scores"]["both"] == report["scores"]["untrained/both"]  # it was never trained
    assert report["scores"]["mfcc_mean_std"] > 0.9
    assert not verdict["blessed"]
    assert "NOT blessed" in result.summary
    assert context.progress.updates[-1] == (7, 7, "probes")
    folder = context.tensorboard_dir
    assert list(folder.glob("events*"))
    assert len((folder / "embedding.tsv").read_text().splitlines()) == 20
    assert len((folder / "labels.tsv").read_text().splitlines()) == 21


def test_evaluates_on_the_eval_split_with_one_format(artifacts, tmp_path):
    report, _, _, _ = _evaluate(artifacts, "single", "splits", tmp_path, mlp_epochs=5, mlp_hidden=16)
    assert (report["probe"], report["metric"]) == ("mlp", "mAP")
    assert list(report["scores"]) == ["mfcc", "both", "untrained/mfcc", "untrained/both", "mfcc_mean_std"]
    assert report["scores"]["mfcc"] == report["scores"]["both"]
    assert report["details"]["by_class"]["both"][2] is None


def test_unlabelled_examples_are_not_probed_and_blessed_with_a_note(artifacts, tmp_path):
    report, verdict, result, context = _evaluate(artifacts, "dual", "unlabelled", tmp_path)
    assert context.progress.updates == []  # not even embedded
    assert report["probe"] is None
    assert report["scores"] == {}
    assert verdict["blessed"]
    assert "no labels" in result.summary


def test_an_eval_split_without_labels_is_refused_in_one_sentence(artifacts, tmp_path):
    clips = [(stored_examples.sound(0), (0,), 0)]
    examples = {"train": clips, "eval": [(stored_examples.sound(1), (), 0)]}
    bare = stored_examples.write_examples(tmp_path / "bare", examples, label_names=("tone",))
    with pytest.raises(UserError, match="'eval' has a label"):
        _evaluate({**artifacts, "bare": bare}, "single", "bare", tmp_path / "run")


@pytest.mark.parametrize(("probe", "examples"), [("linear", "splits"), ("mlp", "folds"), ("mlp", "unlabelled")])
def test_a_probe_the_examples_do_not_allow_is_refused_in_one_sentence(artifacts, probe, examples):
    with pytest.raises(UserError, match=r"evaluator\.probe"):
        choose_probe(probe, info=read_info(artifacts[examples]))
