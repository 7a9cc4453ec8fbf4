"""Exports a model in all formats, as a run does."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import diptych
from components.exporter import Exporter, ExporterConfig
from components.exporter.runtimes import checks, variants
from diptych import DiptychError
from models import dual
from models.config import ModelConfig
from pipeline import digests
from tests.components import harness, stored_examples

pytestmark = pytest.mark.slow

CROP = 0.5
ALL = variants.parse(("litert", "onnx"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The execution that exported a model in all formats. Tests must not write to its outputs."""
    folder = tmp_path_factory.mktemp("runtimes")
    keras.utils.set_random_seed(0)
    (folder / "model").mkdir()
    dual.DualEncoder(ModelConfig(width=0.03125, crop_seconds=CROP)).save(folder / "model" / "model.keras")
    clips = [(stored_examples.sound(k % 2, seed=k, seconds=0.3 + 0.1 * k), (k % 2,), 0) for k in range(8)]
    examples = stored_examples.write_examples(
        folder / "examples", {"train": clips[:6], "valid": clips[6:]}, label_names=("tone", "noise")
    )
    config = ExporterConfig(formats=("onnx", "litert"), validation_clips=2)
    return harness.execute(Exporter(config), folder, model=folder / "model", examples=examples)


@pytest.fixture(scope="module")
def saved_model(exported):
    return exported.outputs["saved_model"]


@pytest.mark.parametrize("variant", ALL, ids=lambda variant: variant.name)
def test_a_file_gives_the_embeddings_of_the_saved_model(saved_model, variant):
    tone = stored_examples.sound(0, seconds=2.3, seed=3)
    embedder, of_file = diptych.load(saved_model), diptych.load(saved_model / variant.file)
    least = {"fp32": 1 - 1e-6, "fp16": 0.99999, "int8": 0.99}[variant.precision]
    for samples in (tone, tone[:1000], 0 * tone):
        vectors = [each.embed(samples, 16000)[None] for each in (embedder, of_file)]
        assert checks.cosines(*vectors).item() > least
        if variant.precision == "fp32":
            np.testing.assert_allclose(*vectors, atol=1e-5)
    assert (of_file.sample_rate, of_file.dims) == (embedder.sample_rate, embedder.dims)
    with pytest.raises(DiptychError, match="embeds whole windows only"):
        of_file.frames(tone, 16000)


def test_each_file_is_a_check_and_a_row_of_the_table(exported, saved_model):
    blessing = json.loads((exported.outputs["infra_blessing"] / "infra_blessing.json").read_text())
    names = [variant.name for variant in ALL]
    assert blessing["blessed"]
    assert all(blessing["checks"][name]["passed"] for name in names)
    figures = json.loads((saved_model / variants.FIGURES).read_text())
    assert figures["windows"] == 8
    assert [row["name"] for row in figures["rows"]] == ["saved_model", *names]
    for row in figures["rows"]:
        assert row["mean_cosine"] >= row["lowest_cosine"] > 0.9
        assert row["probe_points_lost"] is not None
    sizes = {row["name"]: row["megabytes"] for row in figures["rows"]}
    for name in ("litert", "onnx"):
        assert max(sizes[f"{name}_int8"], sizes[f"{name}_fp16"]) < sizes[f"{name}_fp32"]
    table = (saved_model / variants.TABLE).read_text()
    assert table.count("\n| ") == 9
    assert "saved_model/runtimes" in exported.tags()
    assert len(exported.progress.updates) == 9


def test_the_times_are_not_content(saved_model):
    counted = digests.file_digests(saved_model, reports=Exporter.reports)
    assert {name for name in counted if name.startswith("runtimes/")} == {variant.file for variant in ALL}


def test_a_file_of_another_model_fails_its_check(exported, saved_model):
    keras.utils.set_random_seed(1)
    windows = np.stack([stored_examples.sound(k % 2, seed=k, seconds=CROP) for k in range(4)])
    audio = tf.constant(windows / np.float32(32768))
    other = dual.DualEncoder(ModelConfig(width=0.03125, crop_seconds=CROP)).embed(audio)
    expected = {name: values.numpy() for name, values in other.items()}
    expected["embedding"] = np.concatenate(list(expected.values()), axis=1)
    for variant in ALL:
        file = saved_model / variant.file
        check = checks.check(variant, file, windows=windows, expected=expected, tolerance=1e-4).check
        assert not check.passed
        assert "largest difference" in check.detail or "leave" in check.detail
