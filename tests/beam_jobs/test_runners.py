import importlib.util
import os
import subprocess
import sys

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.options import pipeline_options
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.testing import util

from beam_jobs import examples, runners, sources
from beam_jobs.embedding import job as embedding_job
from beam_jobs.embedding.shared import SharedEmbedders
from beam_jobs.ingest.job import Job, write_shards
from beam_jobs.ingest.plan import plan_shards
from beam_jobs.statistics.job import compute
from components.embedder.loaders import UntrainedLoader
from tests.beam_jobs import graph_runner, load_job
from tests.beam_jobs.statistics import stored_splits
from tests.deploy.files import dataflow_flags

CORES = len(os.sched_getaffinity(0))
DATAFLOW = dataflow_flags()
NO_JOB_SERVICE = ("--job_endpoint=localhost:9", "--job_server_timeout=1")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--runner=Foo"], "Beam does not accept '--runner=Foo': Unexpected pipeline runner: Foo"),
        (["--runner"], "Beam does not accept '--runner': argument --runner: expected one argument"),
        (["--direct_num_workers=many"], "argument --direct_num_workers: invalid int value: 'many'"),
        (["--runer=DataflowRunner"], "there is no flag --runer"),
        (["--runner=PortableRunner", *NO_JOB_SERVICE], "no job service answers at localhost:9"),
        # A dry run, because otherwise Beam asks Cloud Storage about the bucket, for minutes if there is no network.
        ([*(f for f in DATAFLOW if "project" not in f), "--dry_run=True"], "Missing required option: project."),
        (
            ["--runner=DataflowRunner", "--temp_location=/tmp"],
            "Invalid GCS path (/tmp), given for the option: temp_location",
        ),
    ],
)
def test_an_error_in_the_flags_is_one_sentence(capfd, flags, reason):
    with pytest.raises(runners.OptionsError) as caught:
        runners.pipeline(flags)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "usage" not in capfd.readouterr().err


def test_without_flags_jobs_run_in_this_process():
    with runners.pipeline() as pipeline:
        util.assert_that(pipeline | beam.Create([1, 2]) | beam.Map(lambda x: 2 * x), util.equal_to([2, 4]))


@pytest.mark.parametrize(
    ("flags", "mode", "count"),
    [
        ([], "multi_threading", CORES),
        (["--runner=DirectRunner", "--direct_num_workers=1"], "multi_threading", 1),
        (["--direct_running_mode=multi_processing"], "multi_processing", CORES),
        (["--direct_running_mode", "multi_processing", "--direct_num_workers", "3"], "multi_processing", 3),
        (["--direct_running_mode=in_memory"], "in_memory", 1),
    ],
)
def test_all_cores_are_used_unless_a_flag_says_otherwise(flags, mode, count):
    options = runners.pipeline(flags).options.view_as(pipeline_options.DirectOptions)
    assert (options.direct_running_mode, options.direct_num_workers) == (mode, count)
    assert runners.workers(flags) == count


def test_the_workers_of_dataflow_are_its_machines():
    assert "--max_num_workers=8" in DATAFLOW
    assert runners.workers(DATAFLOW) == 8


def build(job, folder):
    """Returns the pipeline of a job as a remote runner would receive it."""
    with pytest.raises(graph_runner.PipelineBuilt) as caught:
        job(folder, ("--runner=tests.beam_jobs.graph_runner.GraphRunner",))
    return caught.value.proto


def ingest(folder, beam_args, *, clips=20):
    listed = [sources.Clip(clip_id=f"clip number {i}", path=f"some/folder/{i}.wav") for i in range(clips)]
    shards = plan_shards(listed, sample_rate=16000, shards=2)
    job = Job(source=str(folder), label_names=(), sample_rate=16000)
    write_shards(shards, job=job, work_dir=folder / "work", beam_args=beam_args)


def compute_statistics(folder, beam_args):
    with tf.io.TFRecordWriter(str(folder / examples.file_name("train", shard=0, shards=1))) as writer:
        writer.write(examples.encode(audio=np.zeros(1600, np.int16), clip_id="a"))
    examples.write_metadata(
        folder,
        shard_lengths={"train": [1]},
        shard_bytes={"train": 3200},
        label_names=(),
        sample_rate=16000,
        has_folds=False,
        description="test",
    )
    compute(examples.read_info(folder), output=str(folder / "out.json"), beam_args=beam_args)


def embed(folder, beam_args):
    loaders = [UntrainedLoader(str(folder))]
    job = embedding_job.Job(
        info=stored_splits.write(folder, {"train": [(np.zeros(1600, np.int16), [0])] * 4}),
        embedders=SharedEmbedders(loaders),
        digests={"untrained": "a"},
        limits={"untrained": 3},
        row="clip",
        batch_size=4,
    )
    embedding_job.write_shards(job, work_dir=folder / "work", beam_args=beam_args)


JOBS = pytest.mark.parametrize("job", [ingest, compute_statistics, embed])


def test_a_process_that_has_imported_only_beam_can_load_the_jobs(tmp_path):
    jobs = {"ingest": ingest, "statistics": compute_statistics, "embedding": embed}
    files = {tmp_path / f"job of {name}": f"beam_jobs.{name}." for name in jobs}
    for file, job in zip(files, jobs.values(), strict=True):
        file.write_bytes(build(job, tmp_path).SerializeToString())
    command = [sys.executable, "-m", load_job.__name__, *map(str, files)]
    loaded = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    for file, package in files.items():
        modules = [line.removeprefix(f"{file} ") for line in loaded if line.startswith(f"{file} ")]
        assert any(name.startswith(package) for name in modules)
        assert not any(name.startswith(("__main__", "tests.")) for name in modules)


@JOBS
def test_there_is_a_shuffle_and_no_side_input(job, tmp_path):
    steps = build(job, tmp_path).components.transforms.values()
    assert any(step.spec.urn == "beam:transform:group_by_key:v1" for step in steps)
    functions = [step for step in steps if step.spec.urn == "beam:transform:pardo:v1"]
    with_side_input = [
        step.unique_name
        for step in functions
        if beam_runner_api_pb2.ParDoPayload.FromString(step.spec.payload).side_inputs
    ]
    # InjectDefault is a step of Beam's ToDict, which gives an empty dictionary if there are no elements.
    assert not [name for name in with_side_input if not name.endswith("InjectDefault")]


def test_the_list_of_clips_is_not_part_of_the_pipeline(tmp_path):
    sizes = [build(lambda *a, n=n: ingest(*a, clips=n), tmp_path).ByteSize() for n in (20, 5000)]
    assert sizes[1] < sizes[0] + 500


@JOBS
def test_dataflow_accepts_the_job(job, tmp_path):
    pytest.importorskip("apitools", reason="Beam's Google Cloud extra is not installed")
    # Imported here because it needs the extra.
    from apache_beam.runners.dataflow import dataflow_runner

    options = runners.pipeline((*DATAFLOW, "--dry_run=True")).options
    pipeline = beam.Pipeline.from_runner_api(build(job, tmp_path), dataflow_runner.DataflowRunner(), options)
    sent = pipeline.run().job
    assert sent.proto_pipeline.ByteSize() < 10 * 2**20  # Dataflow accepts no larger job.
    environments = sent.proto_pipeline.components.environments.values()
    assert any(b"europe-west4-docker.pkg.dev/my-project/diptych/worker:1" in env.payload for env in environments)


@pytest.mark.skipif(bool(importlib.util.find_spec("apitools")), reason="Beam's Google Cloud extra is installed")
def test_the_error_of_dataflow_without_its_extra_is_one_sentence():
    with pytest.raises(runners.OptionsError, match=r"make install-gcp"):
        runners.pipeline(DATAFLOW)
