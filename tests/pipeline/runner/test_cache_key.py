import importlib.metadata
import sys

import pytest

from components.trainer import Trainer, TrainerConfig
from pipeline.metadata.executions import Artifact, CacheKey
from pipeline.runner import cache_key, libraries
from tests.pipeline.runner import stages


def test_a_cache_key_leaves_out_fields_that_do_not_decide_the_outputs():
    total = stages.Total(stages.Total.Config(seconds=0.5, workers=8))
    numbers = Artifact(type="Examples", uri="/examples", digest="content", listing="names")
    key = cache_key.build(total, inputs={"examples": numbers})
    assert (key.stage, key.config) == ("Total", {"seconds": 0.5, "fail": False})
    assert (key.inputs, key.external) == ({"examples": "content"}, {})


def test_the_digest_of_a_cache_key_stays_the_same_over_versions():
    """Stored metadata holds digests. If this value changes, every user's stages run again."""
    key = CacheKey(
        stage="Trainer",
        version=1,
        libraries={"keras": "3.15.1"},
        config={"steps": 100, "model": {"width": 0.25}},
        inputs={"examples": "b2"},
        external={},
    )
    assert key.digest == "785fb5f58d252efbce706dd205564b73f3c1a871b260b5634048d2836c8ca6d2"


def test_gates_are_not_part_of_a_cache_key():
    examples = Artifact(type="Examples", uri="/examples", digest="content", listing="names")
    anomalies = Artifact(type="ExampleAnomalies", uri="/anomalies", digest="a warning", listing="names")
    key = cache_key.build(Trainer(), inputs={"examples": examples, "anomalies": anomalies})
    assert key.inputs == {"examples": "content"}


@pytest.mark.parametrize(
    ("strategy", "variables", "precision"),
    [
        ("auto", {}, "float32"),
        ("auto", {"TPU_NAME": "local"}, "bfloat16"),
        ("one", {"TPU_NAME": "local"}, "float32"),
        ("auto", {"TPU_ACCELERATOR_TYPE": "v5litepod-8"}, "bfloat16"),
        ("auto", {"TPU_ACCELERATOR_TYPE": ""}, "float32"),
        ("tpu", {}, "bfloat16"),
    ],
)
def test_precision_is_resolved_before_it_is_keyed(monkeypatch, strategy, variables, precision):
    for name in ("TPU_NAME", "TPU_ACCELERATOR_TYPE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    key = cache_key.build(Trainer(TrainerConfig(strategy=strategy)), inputs={})
    assert key.config["precision"] == precision
    named = cache_key.build(Trainer(TrainerConfig(strategy=strategy, precision=precision)), inputs={})
    assert named.digest == key.digest


def test_a_training_on_a_named_tpu_is_in_bfloat16(monkeypatch):
    for name in ("TPU_NAME", "TPU_ACCELERATOR_TYPE"):
        monkeypatch.delenv(name, raising=False)
    assert cache_key.build(Trainer(TrainerConfig(tpu="slice")), inputs={}).config["precision"] == "bfloat16"


def test_versions_of_declared_libraries_are_part_of_a_cache_key(monkeypatch):
    key = cache_key.build(Trainer(), inputs={})
    assert key.libraries == {name: importlib.metadata.version(name) for name in ("keras", "scikit-learn", "tensorflow")}
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9")
    assert cache_key.build(Trainer(), inputs={}).digest != key.digest


def test_c_libraries_have_versions_of_their_own():
    versions = libraries.versions(["av", "soundfile", "no-such-library"])
    assert set(versions) == {
        *("av", "libavcodec", "libavformat", "libswresample", "soundfile", "libsndfile", "no-such-library")
    }
    assert versions["no-such-library"] == "not installed"
    assert all(versions[name][0].isdigit() for name in versions if name != "no-such-library")


def test_the_tensorflow_of_a_tpu_counts_as_tensorflow(tmp_path, monkeypatch):
    def install(name, version):
        (tmp_path / f"{name}.dist-info").mkdir()
        (tmp_path / f"{name}.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")

    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert libraries.versions(["tensorflow"]) == {"tensorflow": "not installed"}
    install("tensorflow_tpu", "2.17.1")
    assert libraries.versions(["tensorflow"]) == {"tensorflow": "2.17.1"}
    install("tensorflow", "2.18.0")
    assert libraries.versions(["tensorflow"]) == {"tensorflow": "2.18.0"}
