import json

import pytest
from etils import epath

from beam_jobs import storage
from components.errors import UserError
from pipeline import cli
from tests.pipeline.refusals import refusal

WHERE = ("--project", "my-project", "--region", "europe-west4")
REASON = "it is not installed: make install-vertex"


@pytest.fixture
def file(tmp_path):
    pytest.importorskip("kfp", reason=REASON)
    pytest.importorskip("google.cloud.aiplatform", reason=REASON)
    return tmp_path / "pipeline.yaml"


def write(file, *more, data="gs://b/audioset", root="gs://b/root"):
    assert cli.main(["compile", "--preset", "base", "--data", str(data), "--root", root, "-o", str(file), *more]) == 0


def digest(file, *, caching=True):
    """Returns what a job that is sent says of the audio."""
    from google.auth import credentials

    from pipeline.vertex import submitting

    with pytest.MonkeyPatch.context() as monkeypatch:
        config = submitting.aiplatform.initializer.global_config
        monkeypatch.setattr(config, "_credentials", credentials.AnonymousCredentials())
        job = submitting.job(str(file), project="p", region="europe-west4", root="", caching=caching, is_sent=True)
    return job.to_dict()["runtimeConfig"]["parameterValues"]["audio_example_gen_digest"]


def shown(capsys, file, *arguments):
    """Returns the job that a dry run prints."""
    capsys.readouterr()
    assert cli.main(["submit", str(file), *WHERE, "--dry-run", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_dry_run_prints_the_job_and_asks_nobody(file, capsys):
    write(file)
    job = shown(capsys, file, "--root", "gs://other/root/", "--service-account", "a@b.c", "--no-caching")
    assert job["displayName"] == "diptych-base"
    assert job["runtimeConfig"] == {
        "gcsOutputDirectory": "gs://other/root",
        "parameterValues": {"root": "gs://other/root", "audio_example_gen_digest": "(computed when the job is sent)"},
    }
    assert job["serviceAccount"] == "a@b.c"
    tasks = job["pipelineSpec"]["root"]["dag"]["tasks"]
    assert len(tasks) == 8
    assert not any(task["cachingOptions"].get("enableCache") for task in tasks.values())
    kept = shown(capsys, file)
    assert kept["runtimeConfig"]["gcsOutputDirectory"] == "gs://b/root"
    assert kept["pipelineSpec"]["root"]["dag"]["tasks"]["trainer"]["cachingOptions"] == {"enableCache": True}


def test_the_job_that_is_sent_knows_whether_the_audio_changed(file, tmp_path):
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "a.wav").write_bytes(b"RIFF")
    write(file, data=tmp_path / "audio")

    first, again = digest(file), digest(file)
    (tmp_path / "audio" / "b.wav").write_bytes(b"RIFF")
    other = digest(file)
    assert first == again != other
    assert len(first) == 64


def test_audio_in_a_mounted_bucket_is_digested_in_the_bucket(file, buckets):
    digests = []
    for name in ("a", "b"):
        storage.write_bytes(epath.Path(f"gs://bucket/{name}/sound.wav"), name.encode())
        for data in (f"/gcs/bucket/{name}", f"gs://bucket/{name}"):
            write(file, data=data)
            digests.append(digest(file))
    assert digests[0] == digests[1] != digests[2] == digests[3]


@pytest.mark.parametrize("place", ["folder", "row"])
def test_a_path_that_only_containers_have_needs_a_run_without_caching(file, tmp_path, place):
    (tmp_path / "list.csv").write_text("path\n/mnt/audio/a.wav\n")
    write(file, data="/mnt/audio" if place == "folder" else tmp_path / "list.csv")
    with pytest.raises(UserError, match="AudioExampleGen reads /mnt/audio.*, which this machine has not"):
        digest(file)
    assert digest(file, caching=False) == "(unknown, and nothing is reused)"
    write(file, "--step", "audio_example_gen.caching=false", data="/mnt/audio")
    assert digest(file) == "(unknown, and nothing is reused)"


def test_the_paths_of_beams_flags_are_those_of_containers(file, tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    write(file, 'audio_example_gen.beam_args=["--setup_file=/app/setup.py"]', data=tmp_path)
    assert len(digest(file)) == 64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "There is no file"),
        ("a: [", "is not a pipeline: write it with `diptych compile`."),
        ("a: 1", "is not a pipeline: write it with `diptych compile`."),
    ],
)
def test_another_file_is_refused(file, capsys, text, message):
    if text is not None:
        file.write_text(text)
    assert message in refusal(capsys, "submit", file, *WHERE)


def test_the_pipeline_of_someone_else_is_refused(file, capsys):
    from kfp import compiler, dsl

    @dsl.container_component
    def step():
        return dsl.ContainerSpec(image="i", command=["true"])

    @dsl.pipeline(name="another")
    def another():
        step()

    compiler.Compiler().compile(another, str(file))
    assert "is another pipeline than those of `diptych compile`" in refusal(capsys, "submit", file, *WHERE)


def test_a_root_in_a_bucket_is_needed(file, capsys):
    write(file, root="")
    assert "give it with --root gs://BUCKET/FOLDER" in refusal(capsys, "submit", file, *WHERE, "--dry-run")
