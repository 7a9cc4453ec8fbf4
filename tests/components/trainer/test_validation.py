import numpy as np
import pytest
import tensorflow as tf

from beam_jobs import examples as examples_module
from beam_jobs.audio import pcm
from components.trainer import input_pipeline, probe_sample, validation
from components.trainer.model import build_model
from models import subclips
from tests.components import stored_examples
from tests.components.trainer import training


def test_the_loss_leaves_the_model_unchanged_and_falls_as_the_model_learns(examples, one_device):
    """The projector has batch norm, whose running statistics mix both branches and fit neither."""
    settings = training.config(learning_rate=5e-3, batch_size=16)
    options = input_pipeline.InputOptions(batch_size=16, crop_samples=8000, seed=1)
    batch = next(iter(input_pipeline.training_batches(examples, options)))
    losses = []

    def validate(done, model):
        if done % 20:
            return
        before = model.get_weights()
        embeddings = [model.encode(i, pcm.to_float(batch["ab"[i]]), training=False) for i in range(2)]
        logs, _ = validation.make_loss(model, temperature=0.1)(*embeddings)
        losses.append(float(logs["loss"]))
        for weights, expected in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(weights, expected)

    training.train(settings, examples, strategy=one_device, steps=21, before_step=validate)
    assert losses[1] < losses[0] - 0.5


@pytest.mark.parametrize("seconds", [[0.2, 0.5, 1.1, 2.0]])
def test_the_probe_scores_the_mean_over_all_subclips_as_the_evaluator_does(tmp_path, seconds):
    clips = [(stored_examples.sound(i % 2, seconds=s, seed=i), (i % 2,), 0) for i, s in enumerate(seconds)]
    folder = stored_examples.write_examples(tmp_path / "x", {"valid": clips}, label_names=("tone", "noise"))
    model = build_model(training.config().model, seed=0)
    crops = np.stack([np.resize(audio, 8000) for audio, _, _ in clips])
    validated = validation.Validation(
        model,
        info=examples_module.read_info(folder),
        batch={"a": tf.constant(crops), "b": tf.constant(crops)},
        temperature=0.1,
        probe_clips=10,
        chunk=3,
    )
    means = validated._embed_clips(validated._probe)
    for i, (audio, _, _) in enumerate(clips):
        expected = subclips.embed_clips(model, pcm.to_float(tf.constant(audio[None])))
        for name in model.embedding_names:
            np.testing.assert_allclose(means[name][i], expected[name][0], rtol=1e-3, atol=1e-5)


def _choice(caplog, tmp_path, *, clips, labels_of):
    """Returns the result of a validation of `clips` clips, and what the log says about its choice."""
    rows = [(stored_examples.sound(i % 2, seconds=0.5, seed=i), labels_of(i), 0) for i in range(clips)]
    folder = stored_examples.write_examples(tmp_path / "x", {"valid": rows}, label_names=("tone", "noise"))
    crops = tf.constant(np.stack([audio for audio, _, _ in rows[:8]]))
    with caplog.at_level("INFO", logger="absl"):
        result = validation.Validation(
            build_model(training.config().model, seed=0),
            info=examples_module.read_info(folder),
            batch={"a": crops, "b": crops},
            temperature=0.1,
            probe_clips=2000,
            chunk=32,
        ).run()
    return result, caplog.text


def test_the_probe_chooses_the_best_model_if_there_are_enough_labels(caplog, tmp_path):
    result, log = _choice(caplog, tmp_path, clips=200, labels_of=lambda i: (i % 2,))
    assert (result.score, result.metric) == (result.figures["probe_accuracy"], "probe_accuracy")
    assert result.figures["seconds"] > 0
    assert 0 <= result.figures["modality_gap"] <= 2
    assert result.figures["probe_classes"] == 2
    assert "the accuracy of a probe on 200 clips and 2 classes of the valid split chooses the best model" in log


def test_the_loss_chooses_the_best_model_if_there_are_few_labels(caplog, tmp_path):
    result, log = _choice(caplog, tmp_path, clips=20, labels_of=lambda i: (i % 2,))
    assert (result.score, result.metric) == (-result.figures["loss"], "loss")
    assert "the validation loss chooses the best model, because the valid split has 20 labeled clips, and a" in log


def _rare_classes(clips):
    """Returns targets of two classes with two clips each, and otherwise classes with one clip."""
    return np.repeat(np.eye(clips - 2, dtype=bool), [2, 2] + [1] * (clips - 4), axis=0)


@pytest.mark.parametrize(
    ("targets", "reason"),
    [
        (None, "no clip of the valid split has a label"),
        (np.eye(2, dtype=bool)[np.arange(199) % 2], "the valid split has 199 labeled clips, and a probe needs 200"),
        (np.eye(2, dtype=bool)[np.arange(200) % 2], None),
        (np.eye(2, dtype=bool)[[0] * 200], "no class has 2 clips and 2 of other classes"),
        (np.eye(2, dtype=bool)[[0] * 199 + [1]], "no class has 2 clips and 2 of other classes"),
        (np.ones((200, 3), bool), "no class has 2 clips and 2 of other classes"),
        (np.eye(200, dtype=bool), "no class has 2 clips and 2 of other classes"),
        (
            _rare_classes(200),
            "only 4 of 200 labeled clips of the valid split are of a class with at least 2 clips, and",
        ),
        (
            _rare_classes(400),
            "only 4 of 400 labeled clips of the valid split are of a class with at least 2 clips, and",
        ),
        (np.eye(2, dtype=bool)[np.arange(400) % 2], None),
        (np.repeat(np.eye(200, dtype=bool), 2, axis=0), None),
    ],
    ids=[
        "no label",
        "few clips",
        "enough",
        "one class",
        "a rare class",
        "every label",
        "a class a clip",
        "few scored",
        "few scored of many",
        "two classes",
        "two clips a class",
    ],
)
def test_the_loss_chooses_only_if_the_probe_cannot(targets, reason):
    sample = None
    if targets is not None:
        sample = probe_sample.ProbeSample(info=None, numbers=np.arange(len(targets)), targets=targets)
    said = validation.why_loss_chooses(sample, max_clips=2000)
    if reason is None:
        assert said is None
    else:
        assert reason in said


@pytest.mark.parametrize(
    ("clips", "max_clips", "reason"),
    [
        (0, 0, "trainer.probe_clips is 0"),
        (150, 150, "trainer.probe_clips is 150, and a probe needs 200 clips"),
        (120, 150, "the valid split has 120 labeled clips, and a probe needs 200"),
        (200, 200, None),
    ],
)
def test_a_small_sample_is_said_to_be_small_because_of_the_config_or_of_the_split(clips, max_clips, reason):
    targets = np.eye(2, dtype=bool)[np.arange(clips) % 2]
    sample = probe_sample.ProbeSample(info=None, numbers=np.arange(clips), targets=targets) if clips else None
    assert validation.why_loss_chooses(sample, max_clips=max_clips) == reason
