import base64
import bz2
import dataclasses
import pathlib
import pickletools
import sys

import apache_beam as beam
import pytest
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.testing import util

from beam_jobs import elements, runners, worker_code
from beam_jobs.embedding.job import EmbedShard
from beam_jobs.ingest.job import Job, WriteShard
from beam_jobs.statistics.job import SummarizeFile
from components.audio_example_gen import AudioExampleGen, AudioExampleGenConfig
from components.embedder import Embedder, EmbedderConfig
from components.statistics_gen import StatisticsGen, StatisticsGenConfig
from pipeline.runner import code
from tests.beam_jobs import graph_runner

OWN = worker_code.of_this_process(worker_code.OF_AUDIO)
ROOT = pathlib.Path(worker_code.__file__).parents[1]


def digests(folder, files):
    """Returns what counts of a folder with some files, whose text is given."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text)
    return worker_code._digests(folder, worker_code.OF_AUDIO)


@pytest.mark.parametrize(
    ("component", "patterns", "packages"),
    [
        (AudioExampleGen(AudioExampleGenConfig(source="/x")), worker_code.OF_AUDIO, ("beam_jobs", "models")),
        (StatisticsGen(StatisticsGenConfig()), worker_code.OF_AUDIO, ("beam_jobs", "models")),
        (Embedder(EmbedderConfig()), worker_code.OF_EMBEDDING, ("beam_jobs", "components", "models")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_all_that_the_workers_of_a_stage_import_counts(component, patterns, packages):
    used = {
        file.relative_to(ROOT).as_posix()
        for name, file in code.files(component).items()
        if name.partition(".")[0] in packages
    }
    assert "beam_jobs/audio/pcm.py" in used
    assert used <= worker_code.of_this_process(patterns).files.keys()


def test_what_decides_nothing_does_not_count(tmp_path):
    clone = {"beam_jobs/a.py": b"a = 1\nb = 2\n", "models/filters.py": b""}
    expected = digests(tmp_path / "clone", clone)
    assert sorted(expected) == sorted(clone)
    others = {
        "beam_jobs/a.py": b"a = 1\r\nb = 2\r\n",
        "beam_jobs/README.md": b"# Jobs",
        "beam_jobs/__pycache__/a.cpython-311.pyc": b"a",
        "beam_jobs/.ipynb_checkpoints/a-checkpoint.py": b"a = 3",
        "beam_jobs/.#a.py": b"a = 3",
        "models/catalog.py": b"c = 3",
        "tests/beam_jobs/test_a.py": b"",
        "pipeline/cli.py": b"",
    }
    assert digests(tmp_path / "elsewhere", {**clone, **others}) == expected


@pytest.mark.parametrize(
    ("files", "difference"),
    [
        ({"beam_jobs/a.py": b"a = 2\n"}, "another beam_jobs/a.py"),
        ({"beam_jobs/audio/new.py": b""}, "another beam_jobs/audio/new.py"),
        (
            {"beam_jobs/a.py": b"", "beam_jobs/audio/b.py": b"", "beam_jobs/c.py": b""},
            "another beam_jobs/a.py and 2 more",
        ),
    ],
)
def test_other_files_are_named(tmp_path, files, difference):
    clone = {"beam_jobs/a.py": b"a = 1\n"}
    launching = dataclasses.replace(OWN, files=digests(tmp_path / "clone", clone))
    worker = dataclasses.replace(OWN, files=digests(tmp_path / "worker", {**clone, **files}))
    assert worker.differences(launching) == difference
    assert worker.differences(worker) == ""


def test_another_python_is_named():
    launching, worker = (dataclasses.replace(OWN, python=(3, minor)) for minor in (12, 11))
    assert worker.differences(launching) == "Python 3.11 in place of 3.12"


def test_this_process_runs_what_it_launches():
    assert OWN.python == sys.version_info[:2]
    assert OWN.files
    worker_code.check(OWN)


@pytest.mark.parametrize(
    "text",
    [
        "ModuleNotFoundError: No module named 'beam_jobs'",
        "ModuleNotFoundError: No module named 'beam_jobs.elements'",
        "AttributeError: Can't get attribute '_Number' on <module 'beam_jobs.elements' from '/x/elements.py'>",
    ],
)
def test_workers_that_lack_a_step_run_other_code(text):
    named = worker_code.named(RuntimeError(f"Traceback\n  ...\n{text}\n"), is_local=False)
    assert "run other code than this machine (no beam_jobs" in str(named)
    assert "build their image again" in str(named)


@pytest.mark.parametrize("text", ["No module named 'torch'", "ValueError: x", "No module named 'beam_jobs_of_mine'"])
def test_other_errors_stay_as_they_are(text):
    assert worker_code.named(RuntimeError(text), is_local=False) is None


@pytest.mark.parametrize(
    "other",
    [{"python": (3, 99)}, {"files": {**OWN.files, "beam_jobs/runners.py": "0"}}],
    ids=lambda other: next(iter(other)),
)
def test_a_job_whose_workers_run_something_else_fails_before_its_first_element(tmp_path, other):
    marks = tmp_path / "marks"
    marks.mkdir()
    pipeline = runners.pipeline(["--direct_num_workers=1"])
    _ = pipeline | elements.Elements(["a"], code=dataclasses.replace(OWN, **other)) | beam.Map(mark, folder=marks)
    with pytest.raises(
        runners.OtherCodeError, match=r"^the Beam workers run other code .*: files have changed.*again$"
    ):
        runners.run(pipeline, work_dir=tmp_path)
    assert not list(marks.iterdir())


@pytest.mark.parametrize(
    "step",
    [
        lambda: WriteShard(Job(source="", label_names=(), sample_rate=16000), work_dir=""),
        lambda: SummarizeFile(classes=0, sample_rate=16000, storage="pcm", seen=None),
        lambda: EmbedShard(None, work_dir=""),
    ],
    ids=("ingest", "statistics", "embedding"),
)
def test_a_worker_that_comes_later_is_compared_as_well(monkeypatch, step):
    """The first step of a job is done by one worker alone."""
    launched = step()
    other = dataclasses.replace(OWN, python=(3, 99))
    monkeypatch.setattr(worker_code, "of_this_process", lambda patterns: other)
    with pytest.raises(worker_code.OtherCodeError, match=r"^Python 3\.99 in place of "):
        launched.setup()


def mark(name, *, folder):
    (folder / name).touch()


def test_each_element_comes_once():
    with runners.pipeline() as pipeline:
        found = pipeline | elements.Elements(["a", ("b", 1), "a"], code=OWN)
        util.assert_that(found, util.equal_to(["a", ("b", 1), "a"]))


def test_another_python_comes_as_far_as_the_comparison():
    """It could not read bytecode, of which Beam's own functions are sent."""
    pipeline = runners.pipeline(["--runner=tests.beam_jobs.graph_runner.GraphRunner"])
    _ = pipeline | elements.Elements(["a"], code=OWN) | "Other" >> beam.Map(lambda name: name)
    with pytest.raises(graph_runner.PipelineBuilt) as caught:
        pipeline.run()
    steps = caught.value.proto.components.transforms.values()
    with_bytecode = {step.unique_name for step in steps if holds_bytecode(step)}
    assert with_bytecode == {"Other"}


def holds_bytecode(step):
    """Returns whether the function of a step is sent as what a compiler made of it."""
    if step.spec.urn != "beam:transform:pardo:v1":
        return False
    payload = beam_runner_api_pb2.ParDoPayload.FromString(step.spec.payload).do_fn.payload
    pickled = bz2.decompress(base64.b64decode(payload))
    return "_make_function" in {argument for _, argument, _ in pickletools.genops(pickled)}
