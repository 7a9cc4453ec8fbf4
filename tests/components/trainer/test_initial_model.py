"""A training starts from the weights of another model, if its architecture fits."""

import shutil

import keras
import numpy as np
import pytest
from etils import epath

from beam_jobs import storage
from components.errors import UserError
from components.exporter import saved_model
from components.trainer import Trainer, initial_model, model, warm_start
from models.dual import DualEncoder
from tests.components.trainer import trainer_runs, training


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A trained model: its weights differ from those that any seed gives."""
    keras.utils.set_random_seed(7)
    built = DualEncoder(trainer_runs.config().model, seed=1)
    for weight in built.weights:
        weight.assign(weight + 0.125)
    folder = tmp_path_factory.mktemp("source")
    (folder / "model").mkdir()
    built.save(folder / "model" / "model.keras")
    return folder


def weights_of(built):
    encoders = [weight.numpy() for encoder in built.encoders.values() for weight in encoder.weights]
    return encoders, [weight.numpy() for weight in built.projector.weights]


def loaded(place, **changes):
    keras.utils.set_random_seed(3)
    built = model.build_model(trainer_runs.config(**changes).model, seed=3)
    untrained = weights_of(built)
    warm_start.load(initial_model.find(str(place)), model=built)
    return weights_of(built), untrained


def assert_equal(arrays, expected):
    for one, other in zip(arrays, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("below", ["", "model", "model/model.keras"])
def test_a_model_may_be_named_by_its_file_or_its_folder(source, below):
    """The folder may be the Trainer's output, or that of `diptych train`."""
    assert initial_model.find(str(source / below)).path == epath.Path(source / "model" / "model.keras")


@pytest.mark.slow
def test_a_trained_model_gives_encoders_and_projector(source):
    """Dropout, augmentations and the length of the crop may differ."""
    changes = {"model__dropout": 0.5, "model__augment_a__mixing": False, "model__crop_seconds": 0.75}
    initial_model.check(trainer_runs.config(initial_model=str(source), **changes))
    (encoders, projector), _ = loaded(source, **changes)
    expected = weights_of(keras.models.load_model(source / "model" / "model.keras", compile=False))
    assert_equal(encoders, expected[0])
    assert_equal(projector, expected[1])


@pytest.mark.slow
def test_an_exported_model_gives_the_encoders(source, tmp_path):
    """It has no projector, which may therefore have another size."""
    built = keras.models.load_model(source / "model" / "model.keras", compile=False)
    saved_model.export(built, tmp_path / "a model [1]" / "6")
    for place in (tmp_path / "a model [1]", tmp_path / "a model [1]" / "6"):
        (encoders, projector), untrained = loaded(place, model__projector_dim=24)
        assert_equal(encoders, weights_of(built)[0])
        assert_equal(projector, untrained[1])
        Trainer(trainer_runs.config(initial_model=str(place), model__projector_dim=24)).check()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"width": 1 / 32}, "width 0.015625 (not 0.03125): set trainer.model.width=0.015625, or start from"),
        ({"widths.log_mel": 0.5}, "widths.log_mel 0.015625 (not 0.5): set trainer.model.widths.log_mel=0.015625"),
        ({"encoders.log_mel": "cnn10"}, "encoders.log_mel cnn6 (not cnn10)"),
        ({"formats": "log_mel+log_mel"}, "formats waveform+log_mel (not log_mel+log_mel)"),
        ({"norm": "group:1"}, "norm null (not group:1)"),
        ({"front_end.hop_seconds": 0.02}, "front_end.hop_seconds 0.01 (not 0.02)"),
        (
            {"projector_dim": 8, "n_mels": 64},
            "(not 8) and n_mels 80 (not 64): set trainer.model.projector_dim=16 trainer.model.n_mels=80, or start",
        ),
    ],
)
def test_another_architecture_is_one_sentence_that_says_how_to_get_it(source, changes, sentence):
    model_changes = {f"model.{name}": value for name, value in changes.items()}
    with pytest.raises(UserError) as refused:
        initial_model.check(trainer_runs.config(initial_model=str(source), **model_changes))
    assert sentence in str(refused.value)
    assert str(source / "model" / "model.keras") in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is no model: give a .keras file"),
        (b"", "is damaged"),
        (b"PK no", "is damaged"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path, content, message):
    file = tmp_path / "a.keras"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=f"trainer.initial_model: .*{message}"):
        Trainer(trainer_runs.config(initial_model=str(file))).check()


def test_in_a_bucket_the_cache_key_takes_no_download_of_the_weights(source, buckets):
    digests = set()
    for place in ("gs://bucket/one.keras", "gs://bucket/other.keras"):
        storage.copy_file(initial_model.find(str(source)).path, epath.Path(place))
        found = initial_model.find(place)
        before = len(buckets.requests())
        digests.add(found.digest())
        assert [request.kind for request in buckets.requests(start=before)] == ["stat"]
        assert found.sha256() == initial_model.find(str(source)).digest()
    assert len(digests) == 1
    with epath.Path(place).open("ab") as file:
        file.write(b"?")
    assert found.digest() not in digests


def test_the_cache_key_holds_its_weights_and_not_its_path(source, tmp_path):
    shutil.copytree(source, tmp_path / "copy")
    one, other, none = (
        Trainer(trainer_runs.config(initial_model=place and str(place))) for place in (source, tmp_path / "copy", None)
    )
    assert one.external_digests() == other.external_digests() != {}
    assert none.external_digests() == {}, "Trainings without it keep the key that they have always had."
    assert "initial_model" not in one.resolved_config().deciding()


@pytest.mark.slow
def test_a_training_starts_from_it_and_says_so(inputs, tmp_path, source, built_once):
    settings = trainer_runs.config(initial_model=str(source), steps=1, learning_rate=1e-30, final_learning_rate=0.0)
    done = trainer_runs.execute(settings, inputs, tmp_path)
    trained = keras.models.load_model(done.outputs["model"] / "model.keras", compile=False)
    given = keras.models.load_model(source / "model" / "model.keras", compile=False)
    for weight, expected in zip(trained.trainable_variables, given.trainable_variables, strict=True):
        np.testing.assert_allclose(weight.numpy(), expected.numpy(), atol=1e-6)
    untrained = keras.models.load_model(done.outputs["model"] / "initial.keras", compile=False)
    assert training.distance(untrained.get_weights(), given.get_weights()) > 0.1, "The baseline stays untrained."
    record = (done.outputs["model"] / "training.json").read_text()
    assert initial_model.find(str(source)).digest() in record
