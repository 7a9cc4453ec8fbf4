import json
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from beam_jobs import examples
from beam_jobs.audio import pcm
from beam_jobs.embedding.read import Embeddings
from components.embedder import Embedder, EmbedderConfig
from components.errors import UserError
from models import subclips
from pipeline.runner import cache_key
from tests import tensorboard_server
from tests.components import harness
from tests.components.embedder.conftest import CROP

pytestmark = pytest.mark.usefixtures("blank_pictures")

SPLITS = {"train": 14, "eval": 7}


def embed(artifacts, folder, **config):
    """Executes the stage. Returns the embeddings, and the execution."""
    run = harness.execute(Embedder(EmbedderConfig(**config)), folder, **artifacts)
    return Embeddings(run.outputs["embeddings"]), run


def vectors_of_clips(embeddings, embedder, split):
    """Returns clip id -> name of the embedding -> (rows, dim)."""
    names = tuple(embeddings.info.embedders[embedder].dims)
    found = {}
    for rows in embeddings.blocks(embedder, split, names=names):
        for index, clip_id in enumerate(rows.clip_ids):
            for name in names:
                found.setdefault(clip_id, {}).setdefault(name, []).append(rows.vectors[name][index])
    return {clip: {name: np.stack(rows) for name, rows in vectors.items()} for clip, vectors in found.items()}


@pytest.fixture(scope="module")
def finished(artifacts, tmp_path_factory):
    return embed(artifacts, tmp_path_factory.mktemp("finished"), batch_size=5)


@pytest.fixture(scope="module")
def clips(artifacts):
    """Split -> clip id -> float32 (1, samples)."""
    return {
        split: {
            clip["clip_id"].decode(): pcm.to_float(clip["audio"][None])
            for clip in examples.dataset(artifacts["examples"], split).as_numpy_iterator()
        }
        for split in SPLITS
    }


def assert_close(found, expected):
    """Compares vectors of float16 with float32, relative to the largest value."""
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-4 * np.abs(expected).max())


def test_the_trained_vectors_are_those_of_the_windows_signature(artifacts, finished, clips):
    """Clips are shorter than the crop, as long, and longer."""
    signature = tf.saved_model.load(str(artifacts["saved_model"])).signatures["windows"]
    for split, sounds in clips.items():
        found = vectors_of_clips(finished[0], "trained", split)
        assert list(found) == list(sounds)
        for clip_id, audio in sounds.items():
            expected = signature(audio=tf.constant(audio))
            assert set(found[clip_id]) == {"waveform", "log_mel"}
            for name, values in found[clip_id].items():
                assert_close(values, expected[name].numpy()[0])


def test_the_untrained_vectors_are_those_of_the_initial_model(artifacts, finished, clips):
    model = keras.models.load_model(os.fspath(artifacts["model"] / "initial.keras"), compile=False)
    found = vectors_of_clips(finished[0], "untrained", "eval")
    for clip_id, audio in clips["eval"].items():
        expected = subclips.embed_subclips(model, audio)
        for name, values in found[clip_id].items():
            assert_close(values, expected[name].numpy()[0])


def test_rows_of_clips_are_those_of_the_serving_signature_and_baselines_embed_a_sample(artifacts, clips, tmp_path):
    signature = tf.saved_model.load(str(artifacts["saved_model"])).signatures["serving_default"]
    embeddings, run = embed(artifacts, tmp_path, row="clip", baselines=(), max_clips=6, baseline_max_clips=3)
    assert {name: dict(embedder.clips) for name, embedder in embeddings.info.embedders.items()} == {
        "trained": {"train": 6, "eval": 6},
        "untrained": {"train": 3, "eval": 3},
    }
    assert run.progress.updates[-1] == (18, 18, "clips")
    for split, sounds in clips.items():
        found = vectors_of_clips(embeddings, "trained", split)
        assert set(vectors_of_clips(embeddings, "untrained", split)) < set(found)
        for clip_id, vectors in found.items():
            expected = signature(audio=tf.constant(sounds[clip_id]))
            for name, values in vectors.items():
                assert_close(values, expected[name].numpy())


def test_the_artifact_says_what_it_holds(finished):
    info = finished[0].info
    assert list(info.embedders) == ["trained", "untrained", "mfcc_mean_std"]
    assert (info.row, info.splits, info.has_folds, info.label_names) == ("window", SPLITS, True, ("tone", "noise"))
    for embedder in info.embedders.values():
        assert embedder.clips == SPLITS
        assert (embedder.framing.window_samples, embedder.framing.hop_samples) == (CROP, CROP // 2)
    assert info.embedders["mfcc_mean_std"].dims == {"mfcc_mean_std": 26}
    rows = [sum(embedder.files["eval"].values()) for embedder in info.embedders.values()]
    assert len(set(rows)) == 1
    folder = finished[0].folder
    recorded = json.loads((folder / "trained" / "_done" / "manifest.json").read_text())["files"]
    assert (
        recorded["eval-00000-of-00002.parquet"]["bytes"]
        == (folder / "trained" / "eval-00000-of-00002.parquet").stat().length
    )


def test_progress_summary_and_tensorboard(finished):
    run = finished[1]
    assert run.progress.updates[-1] == (63, 63, "clips")
    assert run.result.summary == "21 clips, a row a window: trained 21 x 32, untrained 21 x 32, mfcc_mean_std 21 x 26"
    assert run.result.figures["trained_clips"] == 21
    assert {"embedders", "explained variance", "norms"} <= run.tags()
    tensorboard_server.check_tags(run.context.tensorboard_dir)


def test_where_and_in_what_batches_it_runs_does_not_run_it_again():
    component = Embedder(EmbedderConfig())
    key = cache_key.build(component, inputs={})
    same = EmbedderConfig(batch_size=3, beam_args=("--direct_num_workers=1",))
    assert cache_key.build(Embedder(same), inputs={}) == key
    assert cache_key.build(Embedder(EmbedderConfig(row="clip")), inputs={}) != key


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_changed_file_of_a_baseline_runs_it_again(tmp_path, is_folder):
    path = tmp_path / "model"
    file = path / "below" / "weights" if is_folder else path
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_bytes(b"12")
    times = (1.7e9, 1.7e9)
    os.utime(file, times)
    component = Embedder(EmbedderConfig(baselines=("mfcc_mean_std", f"mine={path}")))
    before = component.external_digests()
    assert list(before) == [f"mine={path}"]
    assert component.external_digests() == before
    file.write_bytes(b"13")  # A model of one architecture that was copied at the same time.
    os.utime(file, times)
    assert component.external_digests() != before
    file.write_bytes(b"12")  # The same model, copied again.
    assert component.external_digests() == before


@pytest.mark.parametrize("is_baseline", [True, False])
@pytest.mark.parametrize("named", ["melspectrogram.tflite", "embedding_model.tflite"])
def test_both_files_of_speech_embedding_count(tmp_path, named, is_baseline):
    for name in ("melspectrogram.tflite", "embedding_model.tflite"):
        (tmp_path / name).write_bytes(b"1")
    spec = f"speech_embedding={tmp_path / named}"
    component = Embedder(EmbedderConfig(baselines=(spec,)) if is_baseline else EmbedderConfig(model=spec))
    digests = set(component.external_digests().values())
    for name in ("melspectrogram.tflite", "embedding_model.tflite"):
        (tmp_path / name).write_bytes(b"12")
        digests.update(component.external_digests().values())
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"baselines": ("nothing",)}, "embedder.baselines: baseline 'nothing'"),
        ({"baselines": ("mfcc_mean_std", "mfcc_mean_std")}, "embedder.baselines: mfcc_mean_std is the name of two"),
    ],
)
def test_wrong_baselines_are_refused_before_the_run(config, sentence):
    with pytest.raises(UserError, match=sentence):
        Embedder(EmbedderConfig(**config)).check()


def test_wrong_flags_of_beam_are_refused_in_one_sentence(artifacts, tmp_path):
    with pytest.raises(UserError, match=r"^embedder\.beam_args: Beam does not accept '--runner=Foo'"):
        embed(artifacts, tmp_path, beam_args=("--runner=Foo",))
