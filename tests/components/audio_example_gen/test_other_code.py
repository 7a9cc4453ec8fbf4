"""Jobs on a service whose workers import another copy of our packages, as the image of another commit holds it."""

import json
import shutil
import subprocess
import sys

import pytest

from beam_jobs import examples, runners
from beam_jobs.statistics import job as statistics_job
from tests import corpora
from tests.beam_jobs.embedding import toy_job
from tests.components import stored_examples
from tests.components.audio_example_gen import job_service

pytestmark = pytest.mark.slow

PACKAGES = ("beam_jobs", "components", "diptych", "models", "pipeline")


@pytest.fixture
def copy(tmp_path):
    """The packages in a folder of their own, with Windows' line ends, which make no difference."""
    folder = tmp_path / "copy"
    for package in PACKAGES:
        shutil.copytree(job_service.ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in (folder / "beam_jobs").rglob("*.py"):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return corpora.audioset(tmp_path_factory.mktemp("source") / "as", train=6, evaluation=2)


def half_as_loud(copy):
    file = copy / "beam_jobs" / "audio" / "resample.py"
    text = file.read_text()
    changed = text.replace("sample_rate=sample_rate))\n", "sample_rate=sample_rate)) // 2\n", 1)
    assert changed != text
    file.write_text(changed)


def older_than_the_comparison(copy):
    """In place of a module that is missing, an editable installation would find our own."""
    for name in ("elements", "worker_code"):
        module = f"beam_jobs.{name}"
        missing = f"raise ModuleNotFoundError({f'No module named {module!r}'!r}, name={module!r})\n"
        (copy / "beam_jobs" / f"{name}.py").write_text(missing)


def run(source, folder, flags, *arguments):
    """Runs the stage as a user does, with Beam's flags for its job."""
    command = [sys.executable, "-m", "pipeline", "run", "--preset=tiny", "--until=AudioExampleGen", f"--data={source}"]
    fields = (f"audio_example_gen.beam_args={json.dumps(flags)}",)
    return subprocess.run(
        [*command, f"--root={folder}", *arguments, *fields], cwd=job_service.ROOT, capture_output=True, text=True
    )


def test_a_copy_of_the_same_code_is_accepted(copy, source, tmp_path):
    with job_service.running(tmp_path, code=copy) as flags:
        done = run(source, tmp_path / "root", flags)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "root").glob("artifacts/AudioExampleGen/examples/*/*.tfrecord*"))


@pytest.mark.parametrize(
    ("change", "difference"),
    [(half_as_loud, "another beam_jobs/audio/resample.py"), (older_than_the_comparison, "no beam_jobs.elements")],
)
def test_other_code_is_refused_in_one_sentence_and_not_tried_again(copy, source, tmp_path, change, difference):
    change(copy)
    with job_service.running(tmp_path, code=copy) as flags:
        done = run(source, tmp_path / "root", flags, "--retries=2")
    assert done.returncode == 2, done.stderr
    assert f"the Beam workers run other code than this machine ({difference}): build their image again" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "this may pass" not in done.stdout + done.stderr
    assert not list((tmp_path / "root").rglob("*.tfrecord*"))


def test_the_other_jobs_are_refused_as_well(copy, tmp_path):
    half_as_loud(copy)
    clips = {"train": [(stored_examples.sound(0), (0,), 0)]}
    folder = stored_examples.write_examples(tmp_path / "examples", clips, label_names=("a",))
    with job_service.running(tmp_path, code=copy) as flags:
        with pytest.raises(runners.OtherCodeError, match=r"another beam_jobs/audio/resample.py\)"):
            statistics_job.compute(examples.read_info(folder), output=str(tmp_path / "s.json"), beam_args=flags)
        with pytest.raises(runners.OtherCodeError, match=r"another beam_jobs/audio/resample.py\)"):
            toy_job.embed(folder, tmp_path, beam_args=flags)
    assert not (tmp_path / "s.json").exists()
    assert not list(tmp_path.rglob("*.parquet"))
