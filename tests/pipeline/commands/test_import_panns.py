import json
import os
import pathlib
import shutil

import keras
import numpy as np
import pytest

from components.importer import read_model_config
from models import encoders, panns
from pipeline import cli
from tests import corpora
from tests.compiled_librosa import librosa
from tests.components.importer import checkpoints
from tests.reference import relative_error

OPTIONS = ("sample_rate", "fft_length", "bands", "high_hz")
RATES = [(32000, 1024, 64, 14000.0), (16000, 512, 64, 8000.0), (8000, 256, 64, 4000.0), (32000, 1024, 128, 14000.0)]


@pytest.fixture(scope="module")
def tensors():
    return checkpoints.tensors("cnn6")


@pytest.fixture(scope="module")
def checkpoint(tensors, tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "Cnn6_mAP=0.343.pth"
    checkpoints.write(path, tensors)
    return path


@pytest.fixture(scope="module")
def imported(checkpoint, tmp_path_factory):
    """The folder of the imported network. Tests must not write to it."""
    folder = tmp_path_factory.mktemp("imported") / "cnn6"
    assert cli.main(["import-panns", str(checkpoint), "--output", str(folder), "--crop-seconds", "1"]) == 0
    return folder


def refusal(capsys, *arguments):
    """Runs a command that must fail and returns its error message, which must be one line."""
    assert cli.main([str(argument) for argument in arguments]) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


def test_the_embedding_is_that_of_panns_front_end_and_network(imported, tensors):
    """Compares the whole model with the encoder on librosa's log-mel spectrogram, computed with PANNs' settings."""
    audio = np.random.default_rng(0).normal(scale=0.1, size=(2, 32000)).astype("float32")
    energy = librosa().feature.melspectrogram(
        y=audio, sr=32000, n_fft=1024, hop_length=320, pad_mode="reflect", n_mels=64, fmin=50, fmax=14000
    )
    log_mel = librosa().power_to_db(energy, ref=1.0, amin=1e-10, top_db=None).transpose(0, 2, 1)
    encoder = encoders.build("cnn6", n_mels=64, norm="batch", padding="valid")
    panns.assign(encoder, tensors)
    model = keras.models.load_model(imported / "model.keras", compile=False)
    assert relative_error(model.embed(audio)["log_mel"], np.asarray(encoder(log_mel))) < 1e-4


def test_the_folder_also_holds_the_network_before_training(imported):
    trained = keras.models.load_model(imported / "model.keras", compile=False)
    initial = keras.models.load_model(imported / "initial.keras", compile=False)
    assert initial.get_config() == trained.get_config()
    trained_norm = trained.encoders["log_mel"].get_layer("bn0")
    initial_norm = initial.encoders["log_mel"].get_layer("bn0")
    np.testing.assert_array_equal(initial_norm.moving_variance, np.ones(64))
    assert not np.array_equal(trained_norm.moving_variance, np.ones(64))
    assert json.loads((imported / "training.json").read_text()) == {
        "imported_from": "Cnn6_mAP=0.343.pth",
        "network": "cnn6",
    }


@pytest.mark.parametrize(OPTIONS, RATES)
def test_the_sample_rate_is_read_from_the_mel_filters(tmp_path, capsys, sample_rate, fft_length, bands, high_hz):
    options = {"sample_rate": sample_rate, "fft_length": fft_length, "bands": bands, "high_hz": high_hz}
    checkpoints.write(tmp_path / "network.pth", checkpoints.tensors("cnn6", **options))
    assert cli.main(["import-panns", str(tmp_path / "network.pth"), "--output", str(tmp_path / "model")]) == 0
    assert f"cnn6 at {sample_rate:,} Hz" in capsys.readouterr().out
    config = read_model_config(str(tmp_path / "model"))
    front_end = config["front_end"]
    assert (config["sample_rate"], config["n_mels"], config["crop_seconds"]) == (sample_rate, bands, 10.0)
    assert (front_end["fft_length"], front_end["high_hz"]) == (fft_length, high_hz)
    assert front_end["window_seconds"] * sample_rate == fft_length
    assert front_end["hop_seconds"] * sample_rate == fft_length * 5 / 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"logmel_extractor.melW": lambda array: 1.01 * array},
            "is not PANNs' for an FFT of 1024 points, 64 mel bands",
        ),
        ({"logmel_extractor.melW": lambda array: np.array(array[:401])}, "an FFT of 800 points is none of"),
        ({"logmel_extractor.melW": None}, "there is no logmel_extractor.melW, which determines the"),
        ({"conv_block4.bn1.running_var": None}, "do not fit the encoder 'cnn6': missing conv_block4.bn1.running_var"),
        ({"conv_block4.conv1.weight": lambda array: array[:256]}, "of another shape conv_block4.conv1.weight (5, 5"),
        ({"att_block.att.weight": np.zeros((527, 2048, 1), "float32")}, "of none of PANNs' networks cnn6, cnn10"),
    ],
)
def test_networks_that_are_not_panns_are_refused(tensors, tmp_path, capsys, change, message):
    changed = dict(tensors)
    for name, new in change.items():
        changed[name] = new(changed[name]) if callable(new) else new
    changed = {name: array for name, array in changed.items() if array is not None}
    checkpoints.write(tmp_path / "network.pth", changed)
    text = refusal(capsys, "import-panns", tmp_path / "network.pth", "--output", tmp_path / "model")
    assert text.startswith(f"diptych: {tmp_path / 'network.pth'}: ")
    assert message in text
    assert [path.name for path in tmp_path.iterdir()] == ["network.pth"]


def test_wrong_input_is_one_sentence(checkpoint, imported, tmp_path, capsys):
    output = ("--output", tmp_path / "model")
    assert "nowhere.pth cannot be read" in refusal(capsys, "import-panns", "nowhere.pth", *output)
    (tmp_path / "page.pth").write_text("<!DOCTYPE html>")
    assert "was not written by torch" in refusal(capsys, "import-panns", tmp_path / "page.pth", *output)
    for seconds, message in (("0.1", "too short for cnn6 on log_mel: choose at least"), ("inf", "is not a length")):
        text = refusal(capsys, "import-panns", checkpoint, *output, "--crop-seconds", seconds)
        assert text.startswith(f"diptych: --crop-seconds {seconds}")
        assert message in text
    assert f"--output {imported} exists already" in refusal(capsys, "import-panns", checkpoint, "--output", imported)
    text = refusal(capsys, "import-panns", checkpoint, "--output", tmp_path / (300 * "x"))
    assert "cannot be written (File name too long)" in text
    blocked = refusal(capsys, "import-panns", checkpoint, "--output", tmp_path / "page.pth" / "model")
    assert "model cannot be written (" in blocked


def test_the_shell_leaves_a_tilde_behind_an_equals_sign_as_it_is(checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["import-panns", str(checkpoint), "--output=~/cnn6", "--crop-seconds", "1"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert read_model_config(str(tmp_path / "home" / "cnn6"))["crop_seconds"] == 1.0
    assert capsys.readouterr().out.count(str(tmp_path / "home" / "cnn6")) == 2


def test_the_importer_runs_when_the_folder_changes(imported, tmp_path, capsys):
    model = shutil.copytree(imported, tmp_path / "model")
    run = ["run", "--preset", "quickstart", "--root", str(tmp_path / "root"), "--until", "Importer", "--import"]
    for message in ("Importer: runs, first run", "Importer: skipped, nothing changed since"):
        assert cli.main([*run, str(model)]) == 0
        assert message in capsys.readouterr().out
    (published,) = filter(pathlib.Path.is_dir, (tmp_path / "root" / "artifacts" / "Importer" / "model").iterdir())
    for file in model.iterdir():
        assert (published / file.name).read_bytes() == file.read_bytes()
    (model / "training.json").write_text("{}")
    assert cli.main([*run, str(model)]) == 0
    assert "Importer: runs, model changed" in capsys.readouterr().out


def test_the_importer_tells_models_apart_by_their_content(imported, tmp_path, capsys):
    """Two networks of one architecture have files of one size, and copies that are made together have one time."""
    model = shutil.copytree(imported, tmp_path / "model")
    other = shutil.copytree(imported, tmp_path / "other")
    record = json.loads((imported / "training.json").read_text())
    record["imported_from"] = record["imported_from"].replace("343", "344")
    (other / "training.json").write_text(json.dumps(record, indent=1))
    for file in (*model.iterdir(), *other.iterdir()):
        os.utime(file, (0, 0))
    run = ["run", "--preset", "quickstart", "--root", str(tmp_path / "root"), "--until", "Importer", "--import"]
    moved = tmp_path / "moved"
    outcomes = ((model, "runs, first run"), (other, "runs, model changed"), (moved, "skipped, nothing changed since"))
    for folder, outcome in outcomes:
        if folder == moved:
            shutil.copytree(other, moved, copy_function=shutil.copyfile)
        assert cli.main([*run, str(folder)]) == 0
        assert f"Importer: {outcome}" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("sample_rate", [32000, 16000, 8000])
def test_the_pipeline_compares_the_network_with_its_untrained_self(sample_rate, tmp_path):
    options = next(dict(zip(OPTIONS, rate, strict=True)) for rate in RATES if rate[0] == sample_rate)
    checkpoints.write(tmp_path / "network.pth", checkpoints.tensors("cnn6", **options))
    model, data, root = tmp_path / "model", corpora.esc50(tmp_path / "data"), tmp_path / "root"
    assert cli.main(["import-panns", str(tmp_path / "network.pth"), "--output", str(model)]) == 0
    assert cli.main(["run", "--preset", "tiny", "--data", str(data), "--root", str(root), "--import", str(model)]) == 0
    report = json.loads((root / "report.json").read_text())
    stages = {row["stage"]: row for row in report["stages"]}
    assert "Trainer" not in stages
    assert stages["Importer"]["summary"] == f"cnn6 on log_mel at {sample_rate:,} Hz"
    assert stages["Exporter"]["figures"]["blessed"] == 1
    scores = report["evaluation"]["scores"]
    assert {"log_mel", "both", "untrained/log_mel", "untrained/both"} < set(scores)
    assert scores["log_mel"] == scores["both"]


class TestRunRefusals:
    def test_a_folder_without_a_model(self, imported, tmp_path, capsys):
        run = ("run", "--preset", "quickstart", "--root", tmp_path / "root", "--import", tmp_path)
        assert f"{tmp_path} has no model.keras; give the folder" in refusal(capsys, *run)
        shutil.copy(imported / "model.keras", tmp_path)
        assert f"{tmp_path} has no initial.keras" in refusal(capsys, *run)
        for name in ("initial.keras", "training.json"):
            shutil.copy(imported / name, tmp_path)
        (tmp_path / "model.keras").write_bytes((imported / "model.keras").read_bytes()[:-10])
        assert "model.keras is damaged" in refusal(capsys, *run)
        keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]).save(tmp_path / "model.keras")
        assert "model.keras is not a Diptych model" in refusal(capsys, *run)
        assert not (tmp_path / "root").exists()

    @pytest.mark.parametrize("content", [b"", b'{"network": "cn', b"[]", b"\xff"])
    def test_a_record_of_the_training_that_was_cut_short(self, imported, tmp_path, capsys, content):
        model = shutil.copytree(imported, tmp_path / "model")
        (model / "training.json").write_bytes(content)
        run = ("run", "--preset", "quickstart", "--root", tmp_path / "root", "--until", "Importer", "--import", model)
        assert "training.json is damaged: import the network, or copy" in refusal(capsys, *run)
        assert not (tmp_path / "root").exists()

    @pytest.mark.parametrize("name", ["model.keras", "initial.keras"])
    def test_a_bit_that_has_flipped(self, imported, tmp_path, capsys, name):
        model = shutil.copytree(imported, tmp_path / "model")
        content = bytearray((model / name).read_bytes())
        content[len(content) // 2] ^= 1
        (model / name).write_bytes(content)
        run = ("run", "--preset", "quickstart", "--root", tmp_path / "root", "--until", "Importer", "--import", model)
        for _ in range(2):
            assert f"{name} is damaged: import the network, or copy the trained model, again." in refusal(capsys, *run)

    def test_another_sample_rate(self, imported, tmp_path, capsys):
        run = ("run", "--preset", "quickstart", "--root", tmp_path / "root", "--import", imported)
        text = refusal(capsys, *run, "audio_example_gen.sample_rate=16000")
        assert "audio_example_gen.sample_rate=16000 is not that of the model in" in text
        assert "set audio_example_gen.sample_rate=32000." in text
        assert not (tmp_path / "root").exists()


@pytest.mark.slow
def test_a_waveform_network_takes_32_khz(tmp_path):
    tensors = checkpoints.tensors("res1dnet31")
    checkpoints.write(tmp_path / "network.pth", tensors)
    assert cli.main(["import-panns", str(tmp_path / "network.pth"), "--output", str(tmp_path / "model")]) == 0
    model = keras.models.load_model(tmp_path / "model" / "model.keras", compile=False)
    assert (model.sample_rate, model.formats) == (32000, ("waveform", "waveform"))
    encoder = encoders.build("res1dnet31", norm="batch", padding="valid")
    panns.assign(encoder, tensors)
    audio = np.random.default_rng(0).normal(scale=0.1, size=(1, 32000)).astype("float32")
    np.testing.assert_allclose(model.embed(audio)["waveform"], encoder(audio), rtol=1e-5)
