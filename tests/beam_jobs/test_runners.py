import importlib.util
import json
import os
import pathlib
import re
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
from beam_jobs.ingest import job as shard_audio
from beam_jobs.statistics import job as statistics
from tests import graphs

CORES = len(os.sched_getaffinity(0))
PAGE = pathlib.Path(__file__).parents[2] / "deploy" / "dataflow" / "README.md"
DATAFLOW = json.loads(re.search(r"BEAM='(.*?)'", PAGE.read_text(), re.DOTALL)[1])  # as the page tells users to
NOBODY_THERE = ("--job_endpoint=localhost:9", "--job_server_timeout=1")
LOAD = """
import sys
import apache_beam as beam
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability import fn_api_runner

proto = beam_runner_api_pb2.Pipeline.FromString(sys.stdin.buffer.read())
pipeline = beam.Pipeline.from_runner_api(proto, fn_api_runner.FnApiRunner(), None)


class Functions(beam.pipeline.PipelineVisitor):
    def visit_transform(self, step):
        if isinstance(step.transform, beam.ParDo):
            fn = getattr(step.transform.fn, "_fn", step.transform.fn)  # Map's and FlatMap's
            fn = getattr(fn, "func", fn)  # a partial's
            print(getattr(fn, "__module__", type(fn).__module__))


pipeline.visit(Functions())
"""


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--runner=Foo"], "Beam does not accept '--runner=Foo': Unexpected pipeline runner: Foo"),
        (["--runner"], "Beam does not accept '--runner': argument --runner: expected one argument"),
        (["--direct_num_workers=many"], "argument --direct_num_workers: invalid int value: 'many'"),
        (["--runer=DataflowRunner"], "there is no flag --runer"),
        (["--runner=PortableRunner", *NOBODY_THERE], "no job service answers at localhost:9"),
        ([f for f in DATAFLOW if "project" not in f], "Missing required option: project."),
        (
            ["--runner=DataflowRunner", "--temp_location=/tmp"],
            "Invalid GCS path (/tmp), given for the option: temp_location",
        ),
    ],
)
def test_flags_that_beam_refuses_are_one_sentence(capfd, flags, reason):
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
def test_this_machine_is_used_whole_unless_told_otherwise(flags, mode, count):
    options = runners.pipeline(flags).options.view_as(pipeline_options.DirectOptions)
    assert (options.direct_running_mode, options.direct_num_workers) == (mode, count)
    assert runners.workers(flags) == count


def test_workers_of_dataflow_are_its_machines():
    assert "--max_num_workers=64" in DATAFLOW
    assert runners.workers(DATAFLOW) == 64


def build(job, folder):
    """The job as a remote runner would be sent it."""
    with pytest.raises(graphs.Built) as caught:
        job(folder, ("--runner=tests.graphs.GraphRunner",))
    return caught.value.proto


def shard_a_folder(folder, beam_args, *, clips=20):
    listed = [sources.Clip(clip_id=f"clip number {i}", path=f"some/folder/{i}.wav") for i in range(clips)]
    plan = shard_audio.plan_shards(listed, sample_rate=16000, shards=2)
    job = shard_audio.Job(source=str(folder), label_names=(), sample_rate=16000)
    shard_audio.write_shards(plan, job=job, work_dir=folder / "work", beam_args=beam_args)


def describe_examples(folder, beam_args):
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
    statistics.compute(examples.read_info(folder), output=str(folder / "out.json"), beam_args=beam_args)


JOBS = pytest.mark.parametrize("job", [shard_a_folder, describe_examples])


@JOBS
def test_a_process_that_knows_only_our_packages_can_load_the_job(job, tmp_path):
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD], input=build(job, tmp_path).SerializeToString(), stdout=subprocess.PIPE, check=True
    )
    functions = loaded.stdout.decode().split()
    assert any(name.startswith("beam_jobs.") for name in functions)
    assert not any(name.startswith(("__main__", "tests.")) for name in functions)


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
    # InjectDefault is Beam's own: what is gathered in the end, or nothing.
    assert not [name for name in with_side_input if not name.endswith("InjectDefault")]


def test_the_clip_list_is_no_part_of_the_job(tmp_path):
    sizes = [build(lambda *a, n=n: shard_a_folder(*a, clips=n), tmp_path).ByteSize() for n in (20, 5000)]
    assert sizes[1] < sizes[0] + 500


@JOBS
def test_dataflow_takes_the_job(job, tmp_path):
    pytest.importorskip("apitools", reason="Beam's Google Cloud extra is not installed")
    from apache_beam.runners.dataflow import dataflow_runner

    options = runners.pipeline((*DATAFLOW, "--dry_run=True")).options
    pipeline = beam.Pipeline.from_runner_api(build(job, tmp_path), dataflow_runner.DataflowRunner(), options)
    sent = pipeline.run().job
    assert sent.proto_pipeline.ByteSize() < 10 * 2**20  # the most that Dataflow takes
    environments = sent.proto_pipeline.components.environments.values()
    assert any(b"europe-docker.pkg.dev/my-project/diptych/worker:1" in env.payload for env in environments)


@pytest.mark.skipif(bool(importlib.util.find_spec("apitools")), reason="Beam's Google Cloud extra is installed")
def test_dataflow_without_its_extra_is_one_sentence():
    with pytest.raises(runners.OptionsError, match=r"make install-gcp"):
        runners.pipeline(DATAFLOW)
