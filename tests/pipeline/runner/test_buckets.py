import pytest
import tensorflow as tf
from etils import epath

from pipeline.metadata.executions import State
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root
from tests import leases
from tests.bucket import Bucket
from tests.pipeline.refusals import refusal
from tests.pipeline.runner import stages

ROOT = epath.Path("gs://bucket/root")


class StrictBucket(Bucket):
    """Refuses to rename folders, which is not one step on Cloud Storage."""

    def rename(self, source, target, overwrite=False):
        assert not self.isdir(source)
        super().rename(source, target, overwrite=overwrite)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Returns a function that runs a pipeline in a bucket."""
    leases.hurry(monkeypatch)
    (tmp_path / "bucket").mkdir()
    StrictBucket(tmp_path).install(monkeypatch)
    return lambda **configs: stages.run(ROOT, stages.build(**configs), metadata=str(tmp_path / "metadata.sqlite"))


@pytest.fixture
def executions(tmp_path):
    """Returns a function that reads the executions of the stage Total as another process sees them."""

    def read():
        store = MetadataStore(str(tmp_path / "metadata.sqlite"), pipeline="test", root=ROOT, read_only=True)
        return store.executions(stage="Total")

    return read


def test_outputs_become_visible_with_the_record_of_the_execution(run, executions, monkeypatch):
    seen = []
    sleep = stages.time.sleep
    monkeypatch.setattr(stages.time, "sleep", lambda seconds: (seen.extend(executions()), sleep(seconds)))
    done = run()
    assert {execution.state for execution in done.values()} == {State.COMPLETE}
    visible = {(execution.state, len(execution.outputs)) for execution in seen}
    assert (State.RUNNING, 0) in visible
    assert visible <= {(State.RUNNING, 0), (State.COMPLETE, len(done["Total"].outputs))}
    assert done["Total"].outputs["model"].uri == f"{ROOT}/artifacts/Total/model/{done['Total'].id}"
    assert (done["Total"].outputs["model"].folder / "total.json").read_text() == "3"
    assert not (ROOT / "staging").exists()
    assert sorted(path.name for path in (ROOT / "tensorboard").iterdir()) == [
        "0 overview",
        "1 Numbers",
        "2 Census",
        "3 Total",
        "4 Verdict",
    ]
    assert {execution.state for execution in run().values()} == {State.CACHED}


def test_a_failed_stage_leaves_no_outputs(run, executions):
    with pytest.raises(RuntimeError, match="it broke"):
        run(total={"fail": True})
    (failed,) = executions()
    assert failed.state == State.FAILED
    assert not (ROOT / "artifacts" / "Total" / "run" / str(failed.id)).exists()
    done = run()
    assert done["Total"].state == State.COMPLETE


def test_a_bucket_that_cannot_be_written_is_refused_in_one_sentence(tmp_path, monkeypatch, capsys):
    def refuse(name):
        raise tf.errors.PermissionDeniedError(None, None, "403: no storage.objects.create\nand more")

    Bucket(tmp_path, before_write=refuse).install(monkeypatch)
    arguments = ["run", "--preset", "quickstart", "--root", ROOT, "--metadata", tmp_path / "metadata.sqlite"]
    message = refusal(capsys, *arguments)
    assert "--root gs://bucket/root cannot be used (403: no storage.objects.create): check its name" in message
    assert "name a local one, or mysql://..., with --metadata" in refusal(capsys, *arguments[:-2])


def test_a_bucket_that_was_moved_reuses_everything(run, tmp_path):
    run()
    (tmp_path / "bucket" / "root").rename(tmp_path / "bucket" / "moved")
    moved = f"{ROOT.parent}/moved/"
    done = stages.run(moved, stages.build(), metadata=str(tmp_path / "metadata.sqlite"))
    assert {execution.state for execution in done.values()} == {State.CACHED}
    assert Root(epath.Path(moved)).name == str(ROOT)
    assert done["Total"].outputs["model"].uri.startswith(moved)
