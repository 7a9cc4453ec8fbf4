import keras
import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from components.embedding_info import EmbeddingInfo
from components.exporter import saved_model
from models import dual, subclips
from models.config import ModelConfig
from pipeline import cli
from pipeline.serving import embed_files
from tests import corpora


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return dual.DualEncoder(ModelConfig(width=1 / 32, crop_seconds=0.5))


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    saved_model.export(model, folder)
    return str(folder)


def test_each_file_becomes_a_row(model, exported, tmp_path, capsys):
    corpora.write_tone(tmp_path / "in" / "a.wav", seconds=1.2, sample_rate=16000)
    corpora.write_tone(tmp_path / "in" / "b.flac", seconds=0.3, sample_rate=44100, hertz=880.0)
    (tmp_path / "in" / "notes.txt").write_text("no audio")
    output = tmp_path / "out.npz"
    assert cli.main(["embed", "--model", exported, "--output", str(output), str(tmp_path / "in")]) == 0
    assert "2 files embedded, 1 quarantined" in capsys.readouterr().out
    with np.load(output) as rows:
        assert [path.rsplit("/", 1)[1] for path in rows["path"]] == ["a.wav", "b.flac"]
        assert rows["embedding"].shape == (2, 32)
        tone = corpora.tone(seconds=1.2, sample_rate=16000).astype("float32")
        expected = subclips.embed_clips(model, tone[None])
        np.testing.assert_allclose(rows["waveform"][0], expected["waveform"][0], atol=1e-3)
        np.testing.assert_allclose(rows["log_mel"][0], expected["log_mel"][0], atol=1e-2)  # The file has 16 bits.


@pytest.mark.parametrize("samples", [8000 + 31 * 4000, 8000 + 32 * 4000, 8000 + 32 * 4000 + 1, 300_000])
def test_a_long_file_is_embedded_in_parts_with_the_same_mean(model, exported, samples):
    info = EmbeddingInfo.read(epath.Path(exported))
    noise = np.random.default_rng(0).integers(-3000, 3000, samples).astype(np.int16)
    signatures, seen = tf.saved_model.load(exported).signatures, []

    def embed(part, *, signature):
        seen.append(len(part))
        outputs = signatures[signature](audio=tf.constant(part[None] / 32768, tf.float32))
        return {name: values.numpy()[0] for name, values in outputs.items()}

    embedded = embed_files._embed_in_parts(noise, embed=embed, info=info)
    assert max(seen) <= 8000 + 31 * 4000
    expected = subclips.embed_clips(model, noise[None].astype(np.float32) / 32768)
    np.testing.assert_allclose(embedded["embedding"], expected["embedding"][0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "{empty}", "{audio}"], "is not a SavedModel from Diptych"),
        (["--model", "{model}", "nowhere.wav"], "There is no file nowhere.wav"),
        (["--model", "{model}", "{text}"], "None of the 1 files could be decoded"),
        (["--model", "{model}", "{empty}"], "There is no file in"),
        (["--model", "{model}", "--output", "{empty}/nowhere/x.npz", "{audio}"], "is not a file in a folder that"),
        (["--model", "{model}", "--output", "{empty}", "{audio}"], "is not a file in a folder that"),
    ],
)
def test_wrong_input_is_one_sentence(exported, tmp_path, capsys, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no audio")
    corpora.write_tone(tmp_path / "a.wav")
    places = {
        "empty": tmp_path / "empty",
        "model": exported,
        "text": tmp_path / "notes.txt",
        "audio": tmp_path / "a.wav",
    }
    assert cli.main(["embed", *(argument.format(**places) for argument in arguments)]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert error.count("\n") == 0
