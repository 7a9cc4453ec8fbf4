"""The adapters, run by the projects' own code. PyTorch is not installed here: a stand-in keeps its tensors in NumPy."""

import inspect
import sys
import types

import numpy as np
import pytest

import diptych
from tests import exports
from tests.diptych import wheels

pytestmark = pytest.mark.slow


class _Tensor:
    """What X-ARES and the adapter ask of a tensor."""

    def __init__(self, values):
        self.values = values
        self.ndim = values.ndim
        self.device = "cpu"

    def detach(self):
        return self

    def cpu(self):
        return self

    def to(self, device):
        return self

    def numpy(self):
        return self.values

    def size(self, axis):
        return self.values.shape[axis]


class _Module:
    def __call__(self, *arguments):
        return self.forward(*arguments)


def _torch():
    torch = types.ModuleType("torch")
    torch.nn = types.SimpleNamespace(Module=_Module)
    torch.Tensor = _Tensor
    torch.from_numpy = _Tensor
    torch.randn = lambda *shape: _Tensor(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    return torch


def _logger(errors):
    loguru = types.ModuleType("loguru")
    loguru.logger = types.SimpleNamespace(error=errors.append)
    return loguru


def test_x_ares_accepts_the_encoder(exported, embedder, tmp_path, monkeypatch):
    errors = []
    monkeypatch.syspath_prepend(wheels.unpacked("xares==0.1.3", tmp_path))
    monkeypatch.setitem(sys.modules, "torch", _torch())
    monkeypatch.setitem(sys.modules, "loguru", _logger(errors))
    monkeypatch.setenv("DIPTYCH_MODEL", str(exported))
    # Imported here because they import X-ARES and PyTorch.
    from xares import audio_encoder_checker

    from diptych.examples import xares_encoder

    encoder = xares_encoder.DiptychEncoder()
    assert audio_encoder_checker.check_audio_encoder(encoder), errors
    assert 0 < encoder.hop_size_in_ms <= 50
    sound = np.random.default_rng(0).uniform(-1, 1, (2, 50000)).astype(np.float32)
    frames = encoder(_Tensor(sound)).values
    np.testing.assert_array_equal(frames[1], embedder.frames(sound[1], 16000).embedding)
    assert [name for name in dir(xares_encoder) if name.endswith("Encoder")] == [
        "DiptychEncoder"
    ]  # X-ARES finds it so.
    assert len(inspect.getsource(xares_encoder).splitlines()) < 40


class _Config(dict):
    """A `ConfigDict` of ml_collections."""

    def __getattr__(self, name):
        if name not in self:
            raise AttributeError(name)
        return self[name]


@pytest.fixture
def perch_hoplite(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(wheels.unpacked("perch-hoplite==1.0.2", tmp_path))
    monkeypatch.setitem(sys.modules, "ml_collections", types.ModuleType("ml_collections"))
    sys.modules["ml_collections"].config_dict = types.SimpleNamespace(ConfigDict=_Config)


@pytest.mark.usefixtures("perch_hoplite")
def test_perch_hoplite_embeds_windows(exported, embedder):
    # Imported here because they import perch-hoplite.
    from perch_hoplite.zoo import zoo_interface

    from diptych.examples import perch_hoplite_model

    model = perch_hoplite_model.DiptychModel.from_config(_Config(model_path=str(exported), hop_size_s=0.25))
    assert isinstance(model, zoo_interface.EmbeddingModel)
    assert (model.sample_rate, model.window_size_s, model.hop_size_s) == (16000, 0.5, 0.25)
    sounds = np.random.default_rng(0).uniform(-1, 1, (2, 20000)).astype(np.float32)
    outputs = model.embed(sounds[0])
    assert outputs.embeddings.shape == (4, 1, embedder.dim)
    expected = [embedder.embed(sounds[0, start : start + 8000], 16000) for start in range(0, 12001, 4000)]
    np.testing.assert_array_equal(outputs.embeddings[:, 0], expected)
    assert outputs.pooled_embeddings("mean", "squeeze").shape == (embedder.dim,)
    batch = model.batch_embed(sounds)
    np.testing.assert_array_equal(batch.embeddings[0], outputs.embeddings)
    assert model.embed(sounds[0, :100]).embeddings.shape == (1, 1, embedder.dim)
    assert len(inspect.getsource(perch_hoplite_model).splitlines()) < 40


@pytest.mark.usefixtures("perch_hoplite")
def test_perch_hoplite_loads_a_saved_model_without_diptych(tmp_path_factory, monkeypatch):
    # It downloads models from Kaggle, which is not installed here.
    monkeypatch.setitem(sys.modules, "perch_hoplite.zoo.kaggle_hub", types.ModuleType("kaggle_hub"))
    # Imported here because it imports perch-hoplite.
    from perch_hoplite.zoo import taxonomy_model_tf

    folder = exports.small(tmp_path_factory)
    settings = {"model_path": folder, "sample_rate": 16000, "window_size_s": 0.5, "hop_size_s": 0.25}
    model = taxonomy_model_tf.TaxonomyModelTF.from_config(_Config(**settings, target_peak=None))
    assert model.batchable
    sounds = np.random.default_rng(0).uniform(-1, 1, (2, 20000)).astype(np.float32)
    embedder = diptych.load(folder)
    expected = [embedder.embed(sounds[1, start : start + 8000], 16000) for start in range(0, 12001, 4000)]
    np.testing.assert_allclose(model.batch_embed(sounds).embeddings[1, :, 0], expected, atol=1e-5)
    np.testing.assert_allclose(model.embed(sounds[1]).embeddings[:, 0], expected, atol=1e-5)
