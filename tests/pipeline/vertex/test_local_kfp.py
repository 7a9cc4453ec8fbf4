"""A compiled pipeline, executed by KFP's local runner, writes what `diptych run` writes."""

import csv
import io
import json
import os
import subprocess
import sys
import zipfile

import pytest
from etils import epath

from beam_jobs import storage
from components.audio_example_gen import AudioExampleGen
from pipeline import cli, dag, digests
from pipeline.runner import decide
from tests import corpora
from tests.benchmarks.docs import ROOT
from tests.pipeline import tiny_run

pytest.importorskip("kfp", reason="kfp is not installed: make install-vertex")

from pipeline.vertex import pipeline_spec
from tests.pipeline.vertex import local_kfp

# What two runs of `diptych run` would not have in common either: dates, speeds, and digests of what holds them.
# TensorFlow numbers functions in saved_model.pb and its fingerprint by what the process did before.
VARYING = {
    "Trainer": {
        "initial.keras metadata.json",
        "model.keras metadata.json",
        "training.json clips_per_s",
        *(f"history.csv {column}" for column in ("clips_per_s", "device_ms", "host_ms", "input_ms")),
    },
    "Exporter": {
        "assets/embedding_info.json training.clips_per_s",
        "assets.extra/embedding_info.json training.clips_per_s",
        "fingerprint.pb",
        "infra_blessing.json latency_ms.batch_of_4",
        "infra_blessing.json latency_ms.one_clip",
        "saved_model.pb",
    },
    "Embedder": {"embeddings.json embedders.trained.digest", "embeddings.json embedders.untrained.digest"},
    "Pusher": {"pushed.json version"},
}


@pytest.fixture
def diptych(tmp_path):
    """Executes a command line of a container as a process in which `diptych` is this source tree."""
    program = tmp_path / "bin" / "diptych"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pipeline.cli "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{program.parent}:{os.environ['PATH']}"}

    def execute(command):
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        return subprocess.run(command, env=environment, cwd=tmp_path / "elsewhere").returncode

    return execute


def differences(steps, root):
    """Returns what of a run of KFP is not what `diptych run` writes, by stage: files, and fields of JSON and CSV."""
    found = {}
    for theirs in sorted(path for path in (root / "artifacts").glob("*/*/*") if path.is_dir()):
        stage, channel = theirs.parts[-3:-1]
        task = pipeline_spec.task_name(stage)
        ours = steps.artifact(task=task, channel=channel)
        written, expected = corpora.contents(ours), corpora.contents(theirs)
        if channel == "model_run":  # Runs of one root keep the checkpoints, from which a longer training goes on.
            expected = {name: content for name, content in expected.items() if not name.startswith("checkpoints/")}
        assert set(written) == set(expected)
        for name in expected:
            # The folder of records has a list of the source, which names its place.
            if written[name] != expected[name] and storage.RECORDS_FOLDER not in name:
                found.setdefault(stage, set()).update(_parts(name, written[name], expected[name]))
        reports = dag.COMPONENTS[stage].reports
        digest = digests.content_digest(epath.Path(ours), reports=reports)
        assert steps.metadata(task=task, channel=channel)["digest"] == digest
    return found


def _parts(name, ours, theirs):
    """Yields what differs between two contents of a file."""
    if name.endswith(".json"):
        changes = decide.differences(json.loads(ours), json.loads(theirs))
        yield from (f"{name} {change.partition(' ')[0]}" for change in changes)
    elif name.endswith(".csv"):
        tables = [list(csv.DictReader(io.StringIO(content.decode()))) for content in (ours, theirs)]
        columns = {column for row in zip(*tables, strict=True) for column in row[0] if row[0][column] != row[1][column]}
        yield from (f"{name} {column}" for column in columns)
    elif name.endswith(".keras"):
        members = [_members(content) for content in (ours, theirs)]
        yield from (f"{name} {member}" for member in members[0] if members[0][member] != members[1][member])
    else:
        yield name


def _members(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {member: archive.read(member) for member in archive.namelist()}


def test_the_first_steps(tmp_path, monkeypatch):
    """In this process, which has imported all that they need. The whole pipeline runs in processes of its own below."""
    small = ["--preset", "quickstart", "synthetic_audio_gen.clips_train=6", "synthetic_audio_gen.clips_eval=2"]
    file = tmp_path / "pipeline.yaml"
    assert cli.main(["compile", *small, "--output", str(file)]) == 0
    steps = local_kfp.run(
        file,
        tmp_path / "kfp",
        monkeypatch,
        execute=lambda command: cli.main(command[1:]),
        tasks=("synthetic-audio-gen", "audio-example-gen"),
        root=str(tmp_path / "steps"),
    )
    assert [command[:3] for command in steps.commands] == [
        ["diptych", "run-component", "SyntheticAudioGen"],
        ["diptych", "run-component", "AudioExampleGen"],
    ]
    assert not any("{{$" in word for command in steps.commands for word in command)
    assert cli.main(["run", *small, "--root", str(tmp_path / "root"), "--until", "AudioExampleGen"]) == 0
    assert not differences(steps, tmp_path / "root")
    assert steps.metadata(task="audio-example-gen", channel="examples")["component_version"] == AudioExampleGen.version
    assert list((tmp_path / "steps" / "tensorboard" / "AudioExampleGen").rglob("events.*"))


@pytest.mark.slow
def test_all_steps(tmp_path, monkeypatch, diptych):
    clips = tmp_path / "clips"
    tiny_run.write_clips(clips)
    command = tiny_run.command(clips, tmp_path / "root")
    file = tmp_path / "pipeline.yaml"
    place = command.index("--root")
    assert cli.main(["compile", *command[1:place], *command[place + 2 :], "--output", str(file)]) == 0
    steps = local_kfp.run(file, tmp_path / "kfp", monkeypatch, execute=diptych, root=str(tmp_path / "steps"))
    assert len(steps.commands) == 8
    status, ran, _ = tiny_run.run(clips, tmp_path / "root")
    assert (status, len(ran)) == (0, 8)
    found = differences(steps, tmp_path / "root")
    # Speeds may happen to be equal.
    assert not {stage: rest for stage in found if (rest := found[stage] - VARYING.get(stage, set()))}
    assert {path.name for path in (tmp_path / "steps" / "tensorboard").iterdir()} == {*ran}
    assert not list((tmp_path / "steps" / "work").glob("*/*/work"))
