"""Damaged examples: the stage that reads them says which file it is, in one sentence."""

import pathlib
import shutil
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from beam_jobs import examples
from beam_jobs.embedding.info import DamagedEmbeddingsError
from beam_jobs.examples import record_sizes
from components import base, damaged_examples, file_errors
from components.errors import DamagedFile, UserError
from components.exporter import infra_validator
from components.statistics_gen import StatisticsGen, StatisticsGenConfig
from components.trainer import input_pipeline
from tests import users
from tests.components import harness, stored_examples


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    rows = [(stored_examples.sound(i % 2, seed=i), [i % 2], 0) for i in range(8)]
    return stored_examples.write_examples(
        tmp_path_factory.mktemp("damage") / "examples",
        {"train": rows, "valid": rows[:4]},
        label_names=("tone", "noise"),
        shards=2,
    )


def flip_data(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 16
    file.write_bytes(content)


def flip_length(file):
    content = bytearray(file.read_bytes())
    content[1] ^= 1
    file.write_bytes(content)


def flip_checksum(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def cut(file):
    file.write_bytes(file.read_bytes()[:-100])


def cut_between_records(file):
    first = next(iter(tf.data.TFRecordDataset(str(file)))).numpy()
    file.write_bytes(file.read_bytes()[: len(first) + 16])


def empty(file):
    file.write_bytes(b"")


def remove(file):
    file.unlink()


@pytest.fixture(
    params=[flip_data, flip_length, flip_checksum, cut, cut_between_records, empty, remove],
    ids=lambda function: function.__name__,
)
def damaged(request, intact, tmp_path):
    """A copy of the examples with a damaged file in each split, and the names of these files."""
    folder = tmp_path / "examples"
    folder.mkdir()
    for path in intact.iterdir():
        path.copy(folder / path.name)
    info = examples.read_info(folder)
    files = [info.files(split)[0] for split in info.splits]
    for file in files:
        request.param(epath.Path(file))
    return folder, files


def read_to_the_end_of_a_batch(folder):
    keras.utils.set_random_seed(1)  # As the Trainer does: TensorFlow cannot shuffle with a seed of 0 besides ours.
    options = input_pipeline.InputOptions(batch_size=4, crop_samples=8000, seed=0)
    for _ in input_pipeline.training_batches(folder, options).take(4):
        pass


def read_without_sizes(folder):
    """Trains on examples of an earlier version."""
    (folder / record_sizes.FILE).unlink()
    read_to_the_end_of_a_batch(folder)


READERS = {
    "trainer": read_to_the_end_of_a_batch,
    "trainer, earlier examples": read_without_sizes,
    "validation": lambda folder: input_pipeline.validation_batch(
        folder, input_pipeline.InputOptions(batch_size=4, crop_samples=8000, seed=0), max_clips=4
    ),
    "exporter": lambda folder: infra_validator.read_clips(folder, count=12, crop_samples=8000),
    "shuffled": lambda folder: list(examples.dataset(folder, "train", shuffle_files=True)),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
def test_each_reader_names_the_damaged_file(damaged, reader):
    folder, files = damaged
    with pytest.raises(DamagedFile) as caught, damaged_examples.named([folder]):
        reader(folder)
    assert any(str(caught.value).startswith(f"{file} ") for file in files)
    assert caught.value.path in files
    assert str(caught.value).endswith(": write the examples again (--force AudioExampleGen)")
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UserError)


@pytest.mark.parametrize(
    "damaged",
    [
        flip_data,
        remove,
        *(
            pytest.param(function, marks=pytest.mark.slow)
            for function in (flip_length, flip_checksum, cut, cut_between_records, empty)
        ),
    ],
    indirect=True,
    ids=lambda function: function.__name__,
)
def test_statistics_gen_names_the_damaged_file(damaged, tmp_path):
    folder, files = damaged
    with pytest.raises(DamagedFile) as caught:
        harness.execute(StatisticsGen(StatisticsGenConfig(players=0)), tmp_path / "run", examples=folder)
    assert caught.value.path in files
    assert any(str(caught.value).startswith(f"{file} ") for file in files)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("dataset_info.json", None, "is missing"),
        ("dataset_info.json", b'{"splits": [', "is damaged"),
        ("dataset_info.json", b"", "is damaged"),
        ("features.json", None, "is missing"),
        ("features.json", b"{}", "is damaged"),
        ("features.json", b"\xff\xfe", "is damaged"),
        ("labels.labels.txt", None, "is missing"),
        ("labels.labels.txt", b"tone", "holds 1 of its 2 lines"),
    ],
)
def test_damaged_metadata_is_named(intact, tmp_path, name, content, what):
    folder = tmp_path / "examples"
    folder.mkdir()
    for path in intact.iterdir():
        path.copy(folder / path.name)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(examples.DamagedExamplesError, match=f"{name} {what}: write"):
        examples.read_info(folder)


@pytest.mark.parametrize(
    ("damage_it", "what"),
    [
        (lambda file: file.write_bytes(b""), "is damaged"),
        (lambda file: file.write_bytes(file.read_bytes()[:-30]), "is damaged"),
        (lambda file: file.write_bytes(file.read_bytes().replace(b"}", b"|", 1)), "is damaged"),
        (lambda file: record_sizes.write(file.parent, {"train": [[7, 7]]}), "holds the sizes of 2 of 8 clips"),
        (lambda file: record_sizes.write(file.parent, {"valid": [[7]]}), "is damaged"),
    ],
)
def test_damaged_sizes_are_named(intact, tmp_path, damage_it, what):
    folder = epath.Path(shutil.copytree(intact, tmp_path / "examples"))
    damage_it(folder / record_sizes.FILE)
    with pytest.raises(DamagedFile, match=f"{record_sizes.FILE} {what}: write"), damaged_examples.named([folder]):
        READERS["trainer"](folder)


def test_sizes_that_are_those_of_other_files_are_named(tmp_path):
    rows = [(stored_examples.sound(0, seconds=0.5 + i / 8, seed=i), [], 0) for i in range(8)]
    folder = stored_examples.write_examples(tmp_path / "examples", {"train": rows}, shards=2)
    info = examples.read_info(folder)
    sizes = record_sizes.read(info, "train")
    record_sizes.write(folder, {"train": [sizes[4:], sizes[:4]]})
    with (
        pytest.raises(DamagedFile, match=f"{record_sizes.FILE} holds wrong sizes of clips in {info.files('train')[0]}"),
        damaged_examples.named([folder]),
    ):
        READERS["trainer"](folder)


def test_an_error_that_is_not_damage_stays_as_it_is_and_reads_nothing(intact, monkeypatch):
    monkeypatch.setattr(examples, "check_folder", None)
    with pytest.raises(tf.errors.InvalidArgumentError), damaged_examples.named([intact]):
        tf.reshape(np.zeros(3), (2,))


@users.needs_root
def test_a_file_that_cannot_be_read_is_not_called_damaged(intact, tmp_path):
    folder = tmp_path / "examples"
    shutil.copytree(intact, folder)
    file = pathlib.Path(examples.read_info(folder).files("train")[0])
    with users.permissions(pathlib.Path(file), 0):
        with pytest.raises(PermissionError):
            examples.check_folder(folder)
        explained = file_errors.as_user_errors(place="/")
        with (
            pytest.raises(UserError, match=f"^{file} cannot be used") as caught,
            explained,
            damaged_examples.named([epath.Path(folder)]),
        ):
            READERS["trainer"](epath.Path(folder))
    assert not isinstance(caught.value, DamagedFile)


@pytest.mark.parametrize("error", [examples.DamagedExamplesError, DamagedEmbeddingsError])
def test_every_stage_that_reads_examples_or_embeddings_names_damage(intact, monkeypatch, error):
    class Reader(base.Component):
        inputs = {"examples": base.ArtifactType.EXAMPLES}
        outputs = {}
        executor = __name__

    monkeypatch.setattr(sys.modules[__name__], "damage", error("x", "is missing"))
    with pytest.raises(DamagedFile, match="x is missing") as caught:
        Reader().execute(inputs={"examples": intact}, outputs={}, context=None)
    assert caught.value.path == "x"


damage = None


def execute(config, *, inputs, outputs, context):
    raise damage
