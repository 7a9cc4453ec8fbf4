"""`diptych classify` from files of `diptych embed` to a SavedModel, and back."""

import csv
import json
import os
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import tensorflow as tf

from pipeline import cli
from pipeline.vectors.head import building, description, saved_head
from tests import corpora, shared


def classify(capsys, *arguments, status=0):
    assert cli.main(["classify", *map(str, arguments)]) == status
    return capsys.readouterr()


@pytest.fixture(scope="module")
def head(exported, embedded, tmp_path_factory):
    """The folder of a head that tells the pitches apart."""
    flags = ["--embeddings", embedded / "clips.parquet", "--labels", embedded / "sounds", "--model", exported]

    def train(folder):
        assert cli.main(["classify", *map(str, flags), "--output", str(folder / "head")]) == 0
        return folder / "head"

    return shared.once(tmp_path_factory, "head", train)


def test_a_head_takes_audio_and_returns_the_scores_of_the_classes(head, embedded):
    model = tf.saved_model.load(str(head))
    classes = json.loads((head / "assets" / "classes.json").read_text())
    assert classes == ["high", "low", "middle"]
    files = [embedded / "sounds" / pitch / "3.wav" for pitch in ("high", "low")]
    audio = np.stack([soundfile.read(file, dtype="float32")[0] for file in files])
    outputs = model.signatures["serving_default"](audio=tf.constant(audio))
    scores = outputs["scores"].numpy()
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=1e-5)
    assert [classes[index] for index in scores.argmax(axis=1)] == ["high", "low"]
    assert outputs["embedding"].shape == (2, 32)
    windows = model.signatures["windows"](audio=tf.constant(audio))
    assert windows["scores"].shape == (2, 4, 3)
    np.testing.assert_allclose(windows["embedding"].numpy().mean(axis=1), outputs["embedding"], atol=1e-5)
    table = pq.read_table(embedded / "clips.parquet")
    described = description.read(str(head))
    assert described.score["files"] == len(table) == 18
    assert described.score["score"] > 0.9


def test_files_are_classified(head, embedded, tmp_path, capsys):
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    output = tmp_path / "scores.csv"
    not_utf8 = os.fsencode(tmp_path) + b"/\xff.wav"
    shutil.copy(embedded / "sounds" / "low" / "0.wav", not_utf8)
    classify(capsys, "--head", head, os.fsdecode(not_utf8), "--output", output)
    assert output.read_text().splitlines()[1].startswith(f"{tmp_path}/\\xff.wav,0.0,1.2,")
    printed = classify(capsys, "--head", head, embedded / "sounds", tmp_path / "bad.wav", "--output", output)
    assert f"{tmp_path}/bad.wav left out: unreadable" in printed.err
    with open(output, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 18
    for row in rows:
        scores = {name: float(row[name]) for name in ("high", "low", "middle")}
        assert max(scores, key=scores.get) == row["file"].split("/")[-2]
    row = next(row for row in rows if row["file"].endswith("low/0.wav"))
    sound, _ = soundfile.read(row["file"], dtype="float32")
    served = tf.saved_model.load(str(head)).signatures["serving_default"](audio=tf.constant(sound[None]))
    np.testing.assert_allclose([float(row[name]) for name in ("high", "low", "middle")], served["scores"][0], atol=2e-3)


def test_a_table_with_several_labels_gives_sigmoids(embedded, tmp_path, capsys):
    rows = [
        f"{pitch}/{i}.wav,{pitch}{';loud' if i > 2 else ''}" for pitch in ("low", "middle", "high") for i in range(6)
    ]
    (tmp_path / "labels.csv").write_text("file,label\n" + "\n".join([*rows, "gone.wav,low"]) + "\n")
    flags = ["--embeddings", embedded / "clips.parquet", "--labels", tmp_path / "labels.csv"]
    printed = classify(capsys, *flags)
    assert printed.out.startswith("mAP ")
    assert printed.err == "diptych: left out 1 labeled file not among the embeddings\n"
    assert "accuracy" in classify(capsys, *flags[:2], "--labels", embedded / "sounds", "--features", "log_mel").out


@pytest.mark.slow
def test_a_saved_head_that_gives_other_scores_is_found(head, exported):
    described = description.read(str(head))
    model = tf.saved_model.load(str(head))
    right = saved_head.Head(
        classes=described.classes,
        activation="softmax",
        kernel=model.kernel.numpy(),
        bias=model.bias.numpy() + np.array([1, 0, 0]),
    )
    with pytest.raises(saved_head.UserError, match="the saved head gives other scores"):
        saved_head.check(right, head, saved_model=exported, embeddings=described.embeddings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give --embeddings and --labels to train a head, or --head and audio files to use one"),
        (["--embeddings", "{e}"], "Give --embeddings and --labels"),
        (["--embeddings", "{e}", "--labels", "{sounds}", "--output", "{tmp}/h"], "give the SavedModel that made"),
        (["--embeddings", "{e}", "--labels", "{sounds}", "x.wav"], "Audio files cannot be given here"),
        (["--embeddings", "{e}", "--labels", "{tmp}/other"], "none of its files (e.g. "),
        (["--embeddings", "{e}", "--labels", "{sounds}", "--model", "{model}", "--output", "{tmp}"], "is no head"),
        (["--head", "{tmp}", "x.wav"], "is not a head"),
        (["--head", "{head}"], "There is nothing to classify"),
        (["--head", "{head}", "--labels", "{sounds}", "x.wav"], "--labels cannot be given here"),
        (["--head", "{head}", "--features", "nonsense", "x.wav"], "--features cannot be given here"),
        (["--head", "{head}", "nowhere.wav"], "There is no file nowhere.wav"),
        (["--head", "{damaged}", "{sounds}"], "cannot be loaded"),
    ],
)
def test_wrong_input_is_one_sentence(exported, embedded, head, tmp_path, capsys, arguments, message):
    for name in ("other/a/x.wav", "other/b/y.wav"):
        corpora.write_tone(tmp_path / name)
    (tmp_path / "damaged").mkdir()
    shutil.copy(head / description.FILE, tmp_path / "damaged")
    (tmp_path / "damaged" / "saved_model.pb").write_bytes(b"damaged")
    places = {"e": embedded / "clips.parquet", "sounds": embedded / "sounds", "model": exported, "tmp": tmp_path}
    places |= {"head": head, "damaged": tmp_path / "damaged"}
    error = classify(capsys, *(argument.format(**places) for argument in arguments), status=2).err.strip()
    assert message in error
    assert error.count("\n") == 0


@pytest.fixture
def training(exported, embedded):
    """The flags that train a head."""
    return ["--embeddings", embedded / "clips.parquet", "--labels", embedded / "sounds", "--model", exported]


@pytest.mark.parametrize("foreign", ["notes.txt", "assets/notes.txt", "takes/1.wav", ".git/config"])
def test_files_that_are_no_part_of_a_head_are_not_deleted(head, training, tmp_path, capsys, foreign):
    folder = tmp_path / "mine"
    shutil.copytree(head, folder)
    (folder / foreign).parent.mkdir(exist_ok=True)
    (folder / foreign).write_text("mine")
    error = classify(capsys, *training, "--output", folder, status=2).err.strip()
    assert f"--output {folder} holds {foreign.split('/')[0]}" in error
    assert error.count("\n") == 0
    assert (folder / foreign).read_text() == "mine"


def test_a_folder_with_another_head_json_is_no_head(training, tmp_path, capsys):
    (tmp_path / "head.json").write_text('{"crew": "deck"}')
    (tmp_path / "take.wav").write_text("mine")
    assert "exists and is no head" in classify(capsys, *training, "--output", tmp_path, status=2).err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["head.json", "take.wav"]


def test_a_head_is_replaced_through_a_link(head, training, tmp_path, capsys):
    shutil.copytree(head, tmp_path / "heads" / "old")
    (tmp_path / "heads" / "old" / "fingerprint.pb").write_bytes(b"old")
    (tmp_path / "link").symlink_to("heads/old")
    classify(capsys, *training, "--output", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert [path.name for path in (tmp_path / "heads").iterdir()] == ["old"]
    assert (tmp_path / "heads" / "old" / "fingerprint.pb").read_bytes() != b"old"


def test_a_head_that_cannot_be_replaced_stays(head, tmp_path):
    place = tmp_path / "head"
    shutil.copytree(head, place)
    with pytest.raises(FileNotFoundError):
        building._move_in(tmp_path / "none", place)
    assert [path.name for path in tmp_path.iterdir()] == ["head"]
    assert description.read(str(place)) == description.read(str(head))


@pytest.mark.parametrize(("output", "what"), [("new.wav", "to embed"), ("head/head.json", "of --head")])
def test_no_table_of_scores_takes_the_place_of_an_input(head, embedded, tmp_path, monkeypatch, capsys, output, what):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(head, "head")
    shutil.copy(embedded / "sounds" / "low" / "0.wav", "new.wav")
    before = (tmp_path / output).read_bytes()
    error = classify(capsys, "--head", "head", "new.wav", "--output", output, status=2).err.strip()
    assert f"--output {output} is one of the files {what}: name another" in error
    assert (tmp_path / output).read_bytes() == before


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("window_samples", "x", "window_samples is 'x', not a whole number above 0"),
        ("hop_samples", 0, "hop_samples is 0, not a whole number above 0"),
        ("sample_rate", True, "sample_rate is True, not a whole number"),
        ("classes", "high", "classes is not a list of names"),
        ("classes", [1, 2, 3], "classes is not a list of names"),
        ("embeddings", [], "embeddings is not a list of names"),
        ("activation", "relu", "activation is 'relu', not softmax or sigmoid"),
        ("dim", None, "is damaged (KeyError: 'dim')"),
        ("classes", ["high", "low"], "describes 2 classes of 32 numbers, and the classifier has a kernel of the shape"),
        ("dim", 33, "describes 3 classes of 33 numbers"),
    ],
)
def test_a_damaged_description_is_one_sentence(head, embedded, tmp_path, capsys, field, value, message):
    shutil.copytree(head, tmp_path / "head")
    fields = json.loads((head / description.FILE).read_text())
    fields.pop(field)
    fields |= {} if value is None else {field: value}
    (tmp_path / "head" / description.FILE).write_text(json.dumps(fields))
    sound = embedded / "sounds" / "low" / "0.wav"
    error = classify(capsys, "--head", tmp_path / "head", sound, status=2).err.strip()
    assert message in error
    assert error.endswith("again.")
    assert error.count("\n") == 0
