import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import diptych
from components.embedding_info import EmbeddingInfo
from tests import corpora
from tests.diptych import small_model

SECOND = corpora.tone(seconds=1.0)


def test_a_model_tells_what_it_takes_and_gives(exported, embedder):
    info = EmbeddingInfo.read(exported)
    assert (embedder.sample_rate, embedder.dim, embedder.dims) == (16000, info.dim, dict(info.dims))
    assert embedder.window_seconds == 0.5


def test_of_numbered_models_the_highest_is_loaded(exported, embedder, tmp_path):
    (tmp_path / "10").symlink_to(exported)
    (tmp_path / "11").mkdir()  # A server ignores what is no model, and what is still being copied.
    for other in ("9", "incomplete-12"):
        (tmp_path / other).mkdir()
        (tmp_path / other / "saved_model.pb").write_bytes(b"damaged")
    loaded = diptych.load(str(tmp_path))
    np.testing.assert_array_equal(loaded.embed(SECOND, 16000), embedder.embed(SECOND, 16000))


def test_a_folder_may_have_any_name(exported, tmp_path):
    folder = tmp_path / corpora.ODD_NAME / "model.v2"
    shutil.copytree(exported, folder)
    assert diptych.load(folder).embed(SECOND, 16000).any()


def remove_info(folder):
    for file in folder.rglob("embedding_info.json"):
        file.unlink()


def damage_info(folder):
    for file in folder.rglob("embedding_info.json"):
        file.write_text("{")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "saved_model.pb").write_bytes(b"x" * 99), "cannot be loaded .*copy it again"),
        (lambda folder: shutil.rmtree(folder / "variables"), "cannot be loaded .*copy it again"),
        (remove_info, "is a SavedModel, but not of Diptych's Exporter"),
        (damage_info, "embedding_info.json is damaged"),
    ],
)
def test_a_damaged_model_is_named(exported, tmp_path, change, message):
    shutil.copytree(exported, tmp_path / "5")
    change(tmp_path / "5")
    with pytest.raises(diptych.DiptychError, match=message) as caught:
        diptych.load(tmp_path)
    assert str(tmp_path / "5") in str(caught.value)


def test_what_is_no_model_is_named(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"")
    with pytest.raises(diptych.DiptychError, match=r"model\.keras is a file of another kind: give the SavedModel"):
        diptych.load(tmp_path / "model.keras")
    with pytest.raises(diptych.DiptychError, match="is no SavedModel, and has no numbered folder that is one"):
        diptych.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="There is no model .*nowhere: give the SavedModel"):
        diptych.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="The path of the model is empty: give the SavedModel"):
        diptych.load("")
    with pytest.raises(diptych.DiptychError, match="The model is given as NoneType: give the path"):
        diptych.load(None)
    for url in ("http://host/model", "s3://bucket/model"):
        with pytest.raises(diptych.DiptychError, match=rf"{url} is neither on this machine nor in Cloud Storage"):
            diptych.load(url)


def test_a_model_without_frames_says_what_to_do(tmp_path):
    small_model.write(tmp_path, signatures=("serving_default", "windows"))
    loaded = diptych.load(tmp_path)
    assert loaded.embed(SECOND, 16000).shape == (loaded.dim,)
    with pytest.raises(diptych.DiptychError, match=r"has no signature `frames`.*--force Exporter"):
        loaded.frames(SECOND, 16000)
    with pytest.raises(diptych.DiptychError, match="has no signature `frames`"):
        diptych.get_timestamp_embeddings(tf.zeros((1, 9)), diptych.load_model(str(tmp_path)))


@pytest.mark.parametrize("name", ["models.py", "components.py", "components/errors.py"])
def test_a_module_that_hides_one_of_ours_is_named(tmp_path, name):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    if file.parent != tmp_path:
        (file.parent / "__init__.py").touch()
    (tmp_path / "program.py").write_text("import diptych")
    # From this folder and no other, however Diptych is installed here.
    environment = {"PYTHONPATH": str(pathlib.Path(diptych.__file__).parents[1])}
    done = subprocess.run([sys.executable, tmp_path / "program.py"], capture_output=True, text=True, env=environment)
    hidden = name.partition("/")[0].removesuffix(".py")
    assert f"ImportError: `import diptych` needs Diptych's own package `{hidden}`" in done.stderr
    assert f"Python finds {tmp_path / hidden}" in done.stderr
