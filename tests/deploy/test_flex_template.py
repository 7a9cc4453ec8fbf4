"""The flex template: its parameters, and the job that its program hands over, built without Google Cloud."""

import importlib.util
import json
import re

import pytest

from components.errors import UserError
from pipeline import cli
from tests import corpora
from tests.deploy import files

FOLDER = files.DEPLOY / "dataflow"
PARAMETERS = {entry["name"]: entry for entry in json.loads((FOLDER / "template.json").read_text())["parameters"]}
# What Dataflow's launcher adds to the parameters.
LAUNCHER = (
    "--runner=DataflowRunner",
    "--project=my-project",
    "--region=europe-west4",
    "--job_name=diptych-audioset-20260101-000000",
    "--temp_location=gs://my-bucket/beam/temp",
    "--staging_location=gs://my-bucket/beam/staging",
    "--service_account_email=diptych-worker@my-project.iam.gserviceaccount.com",
    "--worker_machine_type=n2-standard-4",
    "--max_num_workers=8",
    "--flexrs_goal=COST_OPTIMIZED",
)


def launched(*arguments):
    """Returns the parameters that launch.sh gives to the template."""
    (command,) = files.dry_run("dataflow/launch.sh", "--with=template", *arguments)
    (text,) = (word.removeprefix("--parameters=^|^") for word in command if word.startswith("--parameters="))
    return dict(part.split("=", 1) for part in text.split("|"))


@pytest.mark.parametrize("arguments", [(), ("--fields=audio_example_gen.storage=flac,audio_example_gen.shards=8",)])
def test_the_parameters_of_the_launch_script_fit(arguments):
    given = launched(*arguments)
    required = {name for name, entry in PARAMETERS.items() if not entry.get("isOptional")}
    assert required <= set(given) <= set(PARAMETERS)
    for name, value in given.items():
        assert all(re.match(pattern, value) for pattern in PARAMETERS[name]["regexes"]), (name, value)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("data", "/home/me/audioset"), ("root", "gs://my-bucket"), ("fields", "flac"), ("preset", "b c")],
)
def test_wrong_parameters_do_not_fit(name, wrong):
    assert not any(re.match(pattern, wrong) for pattern in PARAMETERS[name]["regexes"])


@pytest.fixture
def program():
    spec = importlib.util.spec_from_file_location("flex_template", FOLDER / "flex_template.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def offline(monkeypatch):
    """Beam asks neither for credentials nor for buckets. Yields what it uploads: name -> content."""
    pytest.importorskip("apitools", reason="Beam's Google Cloud extra is not installed")
    # Imported here because they need the extra.
    from apache_beam.options.pipeline_options import GoogleCloudOptions
    from apache_beam.runners.dataflow.internal import apiclient

    uploaded, client = {}, apiclient.DataflowApplicationClient
    stage_file = client.stage_file

    def upload(self, folder, name, stream, *arguments):
        if folder.startswith("gs://"):
            uploaded[name] = stream.read()
        else:
            stage_file(self, folder, name, stream, *arguments)

    monkeypatch.setattr(apiclient, "create_storage_client", lambda *arguments: None)
    monkeypatch.setattr(client, "stage_file", upload)
    monkeypatch.setattr(GoogleCloudOptions, "_warn_if_soft_delete_policy_enabled", lambda self, name: None)
    return uploaded


def test_the_job_is_handed_over_and_published_when_it_has_ended(program, offline, tmp_path, capsys):
    source, root, graph = tmp_path / "audio", tmp_path / "root", tmp_path / "job.json"
    source.mkdir()
    for number in range(3):
        corpora.write_tone(source / f"{number}.wav", hertz=200.0 + number)
    common = {"preset": "tiny", "data": str(source), "root": str(root)}
    given = {**launched(), **common, "fields": "audio_example_gen.storage=flac;audio_example_gen.shards=1"}
    flags = [f"--{name}={value}" for name, value in given.items()]
    assert program.main([*flags, *LAUNCHER, "--no_auth", f"--template_location={graph}"]) == 0
    printed = capsys.readouterr().out
    assert "is handed over to Dataflow" in printed

    # The job that Dataflow would start.
    (pool,) = json.loads(graph.read_text())["environment"]["workerPools"]
    assert pool["sdkHarnessContainerImages"][0]["containerImage"] == given["sdk_container_image"]
    options = json.loads(graph.read_text())["environment"]["sdkPipelineOptions"]["options"]
    assert options["flexrs_goal"] == "COST_OPTIMIZED"
    assert options["max_num_workers"] == 8
    assert b"beam_jobs.ingest" in offline["pipeline.pb"]

    # It may be running, so that the command that publishes waits for it.
    (note,) = root.rglob("beam_job.json")
    assert str(note) in printed
    command = ["run", *(f"--{name}={value}" for name, value in common.items()), "--until=AudioExampleGen"]
    command += given["fields"].split(";")
    assert cli.main(command) == 2
    assert "may still be writing" in capsys.readouterr().err
    note.unlink()
    assert cli.main(command) == 0
    assert list(root.glob("artifacts/AudioExampleGen/examples/*/*train.tfrecord*"))


def test_errors_of_the_user_are_not_swallowed(program, tmp_path):
    with pytest.raises(UserError, match="nothing"):
        program.main(["--preset=tiny", f"--data={tmp_path / 'nothing'}", f"--root={tmp_path / 'root'}"])
