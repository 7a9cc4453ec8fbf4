import shutil

import pytest
import tensorflow as tf

from components.embedder import evaluated
from components.errors import UserError
from pipeline.evaluation import config
from tests import corpora


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A foreign SavedModel: waveform -> two vectors."""
    folder = tmp_path_factory.mktemp("foreign") / "two sums"
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec((None, 4000), tf.float32)])
    def embed(waveform):
        return {"embedding": tf.stack([tf.reduce_sum(waveform, 1), tf.reduce_sum(tf.abs(waveform), 1)], 1)}

    tf.saved_model.save(module, str(folder), signatures={"serving_default": embed})
    return str(folder)


def labeled(folder):
    for name in ("dog/a.wav", "cat/b.wav"):
        corpora.write_tone(folder / name)
    return str(folder)


def test_a_folder_with_sub_folders_is_labeled_and_recordings_stay_whole(foreign, tmp_path):
    resolved = config.resolve(model=foreign, data=labeled(tmp_path), baselines=["random_projection", "mfcc_mean_std"])
    assert resolved.audio_example_gen.layout == "class_folders"
    assert resolved.audio_example_gen.max_clip_seconds is None
    assert resolved.audio_example_gen.sample_rate == 16000
    assert resolved.embedder.model == foreign
    assert resolved.embedder.untrained_model is None
    assert resolved.embedder.baselines == ("mfcc_mean_std", "random_projection")


@pytest.mark.parametrize(("corpus", "layout"), [(corpora.esc50, "esc50"), (corpora.audioset, "audioset")])
def test_lists_keep_their_layout_and_fields_can_be_changed(foreign, tmp_path, corpus, layout):
    data = str(corpus(tmp_path / "data"))
    resolved = config.resolve(model=foreign, data=data, assignments=["evaluator.seed=3"])
    assert (resolved.audio_example_gen.layout, resolved.evaluator.seed) == (layout, 3)


def test_a_model_may_be_named_like_a_baseline(foreign, tmp_path):
    resolved = config.resolve(model=f"sums:embedding@8000={foreign}", data=labeled(tmp_path))
    assert resolved.audio_example_gen.sample_rate == 8000
    loader = evaluated.loader(resolved.embedder.model)
    assert loader.name == "trained"
    assert loader.load().dims == {"embedding": 2}


@pytest.mark.parametrize(
    ("model_name", "data", "message"),
    [
        ("{model}", "{nowhere}", "--data: there is no folder"),
        (
            "{model}",
            "{bare}",
            "--data .* has no labels .no labels were found.*: give a folder with a sub-folder",
        ),
        ("{nowhere}", "{data}", "--model: there is no model"),
        ("{data}", "{data}", "--model: .* is neither the folder of a SavedModel"),
        ("x=/nowhere", "{data}", "--model: .*there is no /nowhere"),
    ],
)
def test_wrong_arguments(foreign, tmp_path, model_name, data, message):
    corpora.write_tone(tmp_path / "bare" / "only" / "a.wav")
    places = {
        "model": foreign,
        "nowhere": str(tmp_path / "nowhere"),
        "bare": str(tmp_path / "bare"),
        "data": labeled(tmp_path / "data"),
    }
    with pytest.raises(UserError, match=message):
        config.resolve(model=model_name.format(**places), data=data.format(**places))


def test_a_damaged_model_is_one_sentence(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "model")
    (tmp_path / "model" / "variables" / "variables.index").write_bytes(b"damaged")
    with pytest.raises(UserError, match="model cannot be loaded .*: copy or export it again"):
        evaluated.loader(str(tmp_path / "model")).load()
    (tmp_path / "model" / "assets.extra" / "embedding_info.json").write_text("{")
    with pytest.raises(UserError, match="embedding_info.json is damaged"):
        config.resolve(model=str(tmp_path / "model"), data=labeled(tmp_path / "data"))
