import pathlib
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from etils import epath

from models import subclips
from pipeline import checksums, cli
from tests import corpora, users
from tests.corpora import ODD_NAME
from tests.processes import decoders_of, wait_until


def test_each_file_becomes_a_row(model, exported, tmp_path, capsys):
    corpora.write_tone(tmp_path / "in" / "a.wav", seconds=1.2, sample_rate=16000)
    corpora.write_tone(tmp_path / "in" / "b.flac", seconds=0.3, sample_rate=44100, hertz=880.0)
    (tmp_path / "in" / "notes.txt").write_text("no audio")
    output = tmp_path / "out.npz"
    assert cli.main(["embed", "--model", exported, "--output", str(output), str(tmp_path / "in")]) == 0
    printed = capsys.readouterr()
    assert "2 files embedded, 0 quarantined" in printed.out
    assert printed.err.endswith("diptych: left out 1 file that ends in .txt\n")
    assert ", files 2/2, speed " in printed.err
    with np.load(output) as rows:
        assert [path.rsplit("/", 1)[1] for path in rows["path"]] == ["a.wav", "b.flac"]
        assert rows["embedding"].shape == (2, 32)
        tone = corpora.tone(seconds=1.2, sample_rate=16000).astype("float32")
        expected = subclips.embed_clips(model, tone[None])
        np.testing.assert_allclose(rows["waveform"][0], expected["waveform"][0], atol=1e-3)
        np.testing.assert_allclose(rows["log_mel"][0], expected["log_mel"][0], atol=1e-2)  # The file has 16 bits.


def test_the_model_the_files_and_the_output_may_have_any_name(exported, tmp_path):
    folder = tmp_path / ODD_NAME
    shutil.copytree(exported, folder / "model")
    corpora.write_tone(folder / "in" / "[a]*.wav")
    arguments = ["--model", folder / "model", "--output", folder / "out[1].npz", folder / "in"]
    assert cli.main(["embed", *map(str, arguments)]) == 0
    with np.load(folder / "out[1].npz") as rows:
        assert rows["path"].tolist() == [str(folder / "in" / "[a]*.wav")]


def test_long_files_have_the_embeddings_of_the_signatures(exported, tmp_path):
    sounds = {}
    for samples in (8000 + 31 * 4000, 8000 + 32 * 4000, 8000 + 32 * 4000 + 1, 300_000):
        noise = np.random.default_rng(samples).integers(-3000, 3000, samples).astype(np.int16)
        sounds[str(tmp_path / f"{samples}.wav")] = tf.constant(noise[None] / 32768, tf.float32)
        soundfile.write(tmp_path / f"{samples}.wav", noise, 16000)
    signatures = tf.saved_model.load(exported).signatures
    for output, flags in (("clips.npz", []), ("windows.npz", ["--windows"])):
        arguments = ["--model", exported, "--output", tmp_path / output, *sounds, *flags]
        assert cli.main(["embed", *map(str, arguments)]) == 0
        signature = signatures["windows" if flags else "serving_default"]
        with np.load(tmp_path / output) as rows:
            for path, sound in sounds.items():
                expected = signature(audio=sound)
                for name in ("embedding", "waveform", "log_mel"):
                    values = expected[name][0] if flags else expected[name]
                    np.testing.assert_allclose(rows[name][rows["path"] == path], values, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_stopped_command_says_that_the_same_command_continues(exported, tmp_path, number, status):
    long = corpora.write_silence(tmp_path / "long.wav", hours=6)
    output = tmp_path / "x.csv"
    command = [sys.executable, "-m", "pipeline.cli", "embed", "--model", exported, "--output", output, long]
    process = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: decoders_of(process.pid))
    process.send_signal(number)
    _, error = process.communicate(timeout=20)
    assert process.returncode == status
    assert "nothing incomplete was published, and the same command continues from here" in error
    assert "Traceback" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.wav", "x.csv.parts"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "{empty}", "{audio}"], "is not a SavedModel from Diptych"),
        (["--model", "", "{audio}"], "--model is empty: give the folder that"),
        (["--model", "{model}", "nowhere.wav"], "There is no file nowhere.wav"),
        (["--model", "{model}", "{text}"], "None of the files could be decoded"),
        (["--model", "{model}", "{empty}"], "There is no file in"),
        (["--model", "{model}", "--output", "{empty}/nowhere/x.npz", "{audio}"], "is not a file in a folder that"),
        (["--model", "{model}", "--output", "{empty}", "{audio}"], "is not a file in a folder that"),
        (["--model", "/" + 300 * "x", "{audio}"], "is not a SavedModel from Diptych"),
        (["--model", "{model}", "/" + 300 * "x"], "There is no file /xxx"),
        (
            ["--model", "{model}", "--output", "{empty}/" + 300 * "x" + ".npz", "{audio}"],
            "has so long a name that the table of what cannot be embedded cannot lie beside it: give a shorter name",
        ),
        (
            ["--model", "{model}", "--output", "x.pkl", "{audio}"],
            "x.pkl: give a name that ends in one of .parquet, .npz",
        ),
        (["--model", "{model}", "--max-quarantine", "7", "{audio}"], "--max-quarantine 7 is not a share"),
        (["--model", "{model}", "--max-quarantine", "%", "{audio}"], "--max-quarantine % is not a share"),
    ],
)
def test_wrong_input_is_one_sentence(exported, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
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
    error = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("embed: ")]
    assert len(error) == 1
    assert message in error[0]


@pytest.mark.parametrize("number", ["0", "-1", "1.5", ""])
def test_a_batch_has_a_number_of_windows(capsys, number):
    with pytest.raises(SystemExit) as caught:
        cli.main(["embed", "--model", "tiny-v1", "--batch-size", number, "a.wav"])
    assert caught.value.code == 2
    assert f"argument --batch-size: '{number}' is not a number of windows, at least 1" in capsys.readouterr().err


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file):
    file.write_bytes(b"")


FILES = ("saved_model.pb", "variables/variables.data-00000-of-00001", "variables/variables.index")
INFO = "assets.extra/embedding_info.json"


@pytest.mark.parametrize("name", [*FILES, INFO])
@pytest.mark.parametrize("damage", [flip, cut, empty, pathlib.Path.unlink])
def test_a_model_that_is_not_as_it_was_published_is_one_sentence(exported, tmp_path, capsys, name, damage):
    model = tmp_path / "5"
    shutil.copytree(exported, model)
    checksums.write(epath.Path(model), staged=epath.Path(model))
    damage(model / name)
    corpora.write_tone(tmp_path / "a.wav")
    assert cli.main(["embed", "--model", str(model), "--output", str(tmp_path / "x.npz"), str(tmp_path / "a.wav")]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"diptych: --model: {model / name} is not as the Exporter wrote it: ")
    assert error.count("\n") == 0


@pytest.mark.parametrize(("name", "damage"), [*((name, cut) for name in FILES), (INFO, cut), (FILES[1], flip)])
def test_a_damaged_copy_without_checksums_is_one_sentence(exported, tmp_path, capsys, name, damage):
    model = tmp_path / "pushed"
    shutil.copytree(exported, model)
    damage(model / name)
    corpora.write_tone(tmp_path / "a.wav")
    assert cli.main(["embed", "--model", str(model), "--output", str(tmp_path / "x.npz"), str(tmp_path / "a.wav")]) == 2
    error = capsys.readouterr().err.strip()
    assert str(model) in error
    assert error.endswith("copy it again, or repeat the `diptych run` that wrote it.")


@users.needs_root
@pytest.mark.parametrize("name", ["", "variables", *FILES, INFO])
def test_a_model_without_permission_to_read_is_not_called_damaged(exported, tmp_path, capsys, name):
    shutil.copytree(exported, tmp_path / "model")
    corpora.write_tone(tmp_path / "a.wav")
    arguments = ["embed", "--model", tmp_path / "model", "--output", tmp_path / "x.npz", tmp_path / "a.wav"]
    with users.permissions(tmp_path / "model" / name, 0):
        assert cli.main([*map(str, arguments)]) == 2
    error = capsys.readouterr().err.strip()
    assert f"{tmp_path}/model" in error
    assert "permission denied" in error
    assert "copy it again" not in error
    assert error.count("\n") == 0


def test_a_model_with_an_operation_that_tensorflow_lacks_is_not_called_damaged(exported, tmp_path, capsys):
    shutil.copytree(exported, tmp_path / "model")
    graph = tmp_path / "model" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes().replace(b"Conv2D", b"Conv9D"))
    corpora.write_tone(tmp_path / "a.wav")
    arguments = ["--model", tmp_path / "model", "--output", tmp_path / "x.npz", tmp_path / "a.wav"]
    assert cli.main(["embed", *map(str, arguments)]) == 2
    error = capsys.readouterr().err.strip()
    assert f"model has an operation that TensorFlow {tf.__version__} lacks (Op type not registered 'Conv9D'" in error
    assert error.count("\n") == 0


@pytest.mark.parametrize("error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")])
def test_a_model_that_memory_does_not_hold_is_not_called_damaged(exported, tmp_path, capsys, monkeypatch, error):
    def load(folder):
        raise error

    monkeypatch.setattr(tf.saved_model, "load", load)
    corpora.write_tone(tmp_path / "a.wav")
    arguments = ["--model", exported, "--output", tmp_path / "x.npz", tmp_path / "a.wav"]
    assert cli.main(["embed", *map(str, arguments)]) == 2
    assert f"--model {exported} does not fit into memory (" in capsys.readouterr().err


def test_files_without_a_sample_are_quarantined(exported, tmp_path, capsys):
    sounds = tmp_path / "in"
    corpora.write_tone(sounds / "a.wav")
    (sounds / "empty.wav").write_bytes(b"")
    soundfile.write(sounds / "no_samples.wav", np.zeros(0), 16000)
    output = tmp_path / "x.npz"
    assert cli.main(["embed", "--model", exported, "--output", str(output), str(sounds)]) == 0
    printed = capsys.readouterr()
    assert "1 files embedded, 2 quarantined" in printed.out
    for name in ("empty.wav", "no_samples.wav"):
        assert f"diptych: {sounds / name} quarantined: " in printed.err


def test_a_folder_without_audio_says_what_it_holds(exported, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for name in ("a.txt", "b.txt", "c.pdf"):
        (tmp_path / "in" / name).touch()
    assert cli.main(["embed", "--model", exported, str(tmp_path / "in")]) == 2
    expected = (
        f"There is no file in {tmp_path}/in that is audio (only 2 files that end in .txt, 1 file that ends in .pdf)"
    )
    assert expected in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_command_ends_with_the_same_bytes(exported, tmp_path):
    for i in range(1100):  # Three groups.
        corpora.write_tone(tmp_path / "in" / f"{i:04d}.wav", seconds=0.05 + i % 9 / 10, hertz=200.0 + i)
    command = [sys.executable, "-m", "pipeline.cli", "embed", "--model", exported, "--windows", tmp_path / "in"]
    outputs = [tmp_path / name / "x.parquet" for name in ("whole", "killed")]
    for output in outputs:
        output.parent.mkdir()
    subprocess.run([*map(str, command), "--output", str(outputs[0])], check=True)
    for lines in (2, 3):
        process = subprocess.Popen([*map(str, command), "--output", str(outputs[1])])
        journal = outputs[1].parent / "x.parquet.parts" / "journal.jsonl"
        wait_until(lambda lines=lines, file=journal: file.exists() and file.read_bytes().count(b"\n") >= lines)
        process.kill()
        process.wait()
    subprocess.run([*map(str, command), "--output", str(outputs[1])], check=True)
    assert corpora.contents(outputs[0].parent) == corpora.contents(outputs[1].parent)
