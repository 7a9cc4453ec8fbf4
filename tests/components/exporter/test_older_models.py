"""SavedModels that an earlier version exported go on working."""

import dataclasses
import functools
import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.embedder.networks import ServedModel
from components.embedding_info import ASSET, FILE, EmbeddingInfo
from components.exporter import description
from models import dual, subclips
from models.config import EncodersConfig, ModelConfig

FIELDS = ("formats", "dims", "dim", "sample_rate", "crop_samples", "stride_samples", "input", "signatures")


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    """A model and its SavedModel of version 1, as Keras' archive writes it."""
    folder = tmp_path_factory.mktemp("older")
    keras.utils.set_random_seed(0)
    encoders = EncodersConfig(waveform="conv160", log_mel="cnn6")
    model = dual.DualEncoder(ModelConfig(encoders=encoders, width=1 / 32, crop_seconds=0.1))
    archive = keras.export.ExportArchive()
    archive.track(model)
    audio = [tf.TensorSpec((None, None), tf.float32, name="audio")]
    for name, embed in (("serving_default", subclips.embed_clips), ("windows", subclips.embed_subclips)):
        archive.add_endpoint(name, functools.partial(embed, model), input_signature=audio)
    archive.write_out(str(folder), verbose=False)
    info = dataclasses.asdict(description.describe(model))
    (folder / FILE).parent.mkdir()
    (folder / FILE).write_text(json.dumps({name: info[name] for name in FIELDS}))
    return model, folder


def test_its_info_is_read(older):
    _, folder = older
    info = EmbeddingInfo.read(folder)
    assert (info.version, info.license, info.golden_sha256, info.frame_hop_samples) == (1, None, None, None)
    assert info.framing.window_samples == 1600


def test_it_embeds(older):
    model, folder = older
    windows = np.random.default_rng(0).uniform(-0.1, 0.1, (3, 1600)).astype(np.float32)
    served = ServedModel(folder)
    for name, values in model.embed(windows).items():
        np.testing.assert_allclose(served.embed(windows)[name], values, atol=1e-5)


def test_a_host_may_remove_the_extra_assets(saved_model, tmp_path):
    (tmp_path / ASSET).parent.mkdir()
    (tmp_path / ASSET).write_bytes((pathlib.Path(saved_model) / ASSET).read_bytes())
    assert EmbeddingInfo.read(tmp_path) == EmbeddingInfo.read(saved_model)
