"""URLs of services that Diptych does not read, or without a bucket: each command says so in one sentence."""

import pytest

import diptych
from tests.pipeline.refusals import refusal

URL = "http://host/x.wav"
MESSAGE = "is neither on this machine nor in Cloud Storage (gs://), which is all that Diptych reads: download it"


@pytest.mark.parametrize(
    "command",
    [
        ("embed", "--model", "tiny-v1", URL),
        ("embed", "--model", "s3://bucket/model", "x.wav"),
        ("embed", "--model", "tiny-v1", "--output", "http://host/o.npz", "SOUND"),
        ("serve", "--port", "0", "--model", URL),
        ("serve", "--port", "0", "--model", "tiny-v1", "--index", "http://host/o.parquet"),
        ("search", "--embeddings", "http://host/o.parquet", "--model", "tiny-v1", "SOUND"),
        ("evaluate", "--model", URL, "--data", "."),
        ("evaluate", "--model", "tiny-v1", "--data", "http://host/data"),
        ("run", "--preset", "tiny", "--data", "http://host/data"),
        ("run", "--preset", "tiny", "--data", ".", "--import", "http://host/model"),
        ("run", "--preset", "quickstart", "--plan", "trainer.initial_model=http://host/model"),
        ("run", "--preset", "quickstart", "--plan", "example_validator.schema_path=s3://bucket/schema.json"),
        ("run", "--preset", "quickstart", "--plan", "embedder.model=s3://bucket/model"),
        ("run", "--preset", "quickstart", "--plan", 'embedder.baselines=["mine=https://host/model.onnx"]'),
        ("run", "--preset", "tiny", "--plan", "audio_example_gen.source=https://host/audio"),
        ("train", "--preset", "tiny", "--examples", "http://host/examples", "--output", "out"),
        ("run-component", "StatisticsGen", "--input", "examples", "http://host/e", "--output", "statistics", "s"),
        ("compile", "--preset", "tiny", "--data", "http://host/data", "--output", "p.yaml"),
    ],
    ids=lambda command: " ".join(command)[:60],
)
def test_a_url_that_cannot_be_read_is_said(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sound = tmp_path / "sound.wav"
    sound.touch()
    assert MESSAGE in refusal(capsys, *(str(sound) if word == "SOUND" else word for word in command))


@pytest.mark.parametrize("url", ["gs://", "gs:///x"])  # The second one is gs://$BUCKET/x without BUCKET.
def test_a_url_without_a_bucket_is_said(capsys, tmp_path, monkeypatch, url):
    monkeypatch.chdir(tmp_path)
    message = f"{url} names no bucket: give gs://BUCKET/NAME."
    assert message in refusal(capsys, "embed", "--model", "tiny-v1", url)
    assert message in refusal(capsys, "embed", "--model", url, "x.wav")
    assert message in refusal(capsys, "run", "--preset", "tiny", "--data", url)
    with pytest.raises(diptych.DiptychError) as caught:
        diptych.load(url)
    assert str(caught.value) == message
