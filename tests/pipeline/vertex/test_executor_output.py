import json

import pytest
from etils import epath

from components.base import StageResult
from components.errors import UserError
from pipeline.runner.one_component import Finished
from pipeline.vertex import executor_output
from tests.pipeline.runner import stages

FINISHED = Finished(
    result=StageResult(summary="3 numbers", figures={"count": 3, "loss": float("nan"), "stage": "overwritten"}),
    digests={"examples": "abc"},
)


def executor_input(tmp_path, **outputs):
    artifact = {"name": "projects/1/examples", "uri": "gs://b/1/examples", "type": {"instanceSchema": "x"}}
    artifacts = {"examples": {"artifacts": [artifact]}}
    return json.dumps({"outputs": {"outputFile": str(tmp_path / "a" / "out.json"), "artifacts": artifacts, **outputs}})


def test_digest_and_figures_are_written_as_metadata(tmp_path):
    executor_output.write(executor_input(tmp_path), stages.Numbers(), FINISHED)
    written = json.loads((tmp_path / "a" / "out.json").read_text())
    assert written["artifacts"]["examples"]["artifacts"] == [
        {
            "name": "projects/1/examples",
            "uri": "gs://b/1/examples",
            "metadata": {
                "digest": "abc",
                "stage": "Numbers",
                "component_version": 1,
                "summary": "3 numbers",
                "count": 3,
            },
        }
    ]


def test_the_output_fits_the_message_of_kfp(tmp_path):
    kfp_local = pytest.importorskip(
        "kfp.local.executor_output_utils", reason="kfp is not installed: make install-vertex"
    )
    executor_output.write(executor_input(tmp_path), stages.Numbers(), FINISHED)
    read = kfp_local.load_executor_output(str(tmp_path / "a" / "out.json"))
    (artifact,) = read.artifacts["examples"].artifacts
    assert artifact.metadata["count"] == 3


def test_a_mounted_bucket_is_written_by_its_url():
    assert executor_output._place("/gcs/bucket/1/out.json") == epath.Path("gs://bucket/1/out.json")
    assert executor_output._place("/tmp/out.json") == epath.Path("/tmp/out.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"outputs": {}}', '{"outputs": 3}', "{{$}}"])
def test_what_is_not_from_kfp_is_refused(text):
    with pytest.raises(UserError, match="--executor-input is not what KFP puts"):
        executor_output.check(text)


def test_what_is_from_kfp_is_accepted(tmp_path):
    executor_output.check(executor_input(tmp_path))
