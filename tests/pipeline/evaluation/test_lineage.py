"""Which Trainer's folder a SavedModel came from, by the metadata of its root."""

import shutil

import pytest
from etils import epath

from pipeline.evaluation import lineage
from pipeline.metadata.executions import Artifact, CacheKey, Execution, Run, State
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root


def execution(root, stage, channel, number, *, digest, model=""):
    """Publishes a folder, and returns the execution that says so."""
    folder = root.published(stage=stage, output=channel, execution_id=number)
    folder.mkdir(parents=True)
    key = CacheKey(
        stage=stage, version=1, libraries={}, config={}, inputs={"model": model} if model else {}, external={}
    )
    artifact = Artifact(type="Model", uri=str(folder), digest=digest, listing="")
    return Execution(cache_key=key, state=State.COMPLETE, outputs={channel: artifact})


@pytest.fixture
def root(tmp_path):
    """A root in which two models were trained and exported, each from a folder of its own."""
    root = Root(epath.Path(tmp_path / "root"))
    root.path.mkdir()
    store = MetadataStore(root.metadata_uri(), pipeline=root.name, root=root.path)
    run = Run(name="run", stages=("Trainer", "Exporter"), preset="")
    store.start_run(run)
    for number in (1, 2):
        trained = execution(root, "Trainer", "model", number, digest=f"weights {number}")
        exported = execution(
            root, "Exporter", "saved_model", number, digest=f"export {number}", model=f"weights {number}"
        )
        (trained.outputs["model"].folder / "initial.keras").write_text("")
        store.put(trained, run=run)
        store.put(exported, run=run)
    return root


def find(root, number):
    return lineage.untrained_model(str(root.published(stage="Exporter", output="saved_model", execution_id=number)))


@pytest.mark.parametrize("number", [1, 2])
def test_it_is_the_folder_that_the_model_was_exported_from(root, number):
    assert find(root, number) == str(root.published(stage="Trainer", output="model", execution_id=number))


def test_there_may_be_none(root, tmp_path):
    model = root.published(stage="Exporter", output="saved_model", execution_id=1)
    shutil.copytree(model, tmp_path / "pushed")
    assert lineage.untrained_model(str(tmp_path / "pushed")) is None
    assert lineage.untrained_model("/5") is None
    assert lineage.untrained_model("gs://bucket/a/b/c/d") is None
    shutil.rmtree(root.published(stage="Trainer", output="model", execution_id=1))
    assert find(root, 1) is None
    (root.path / "metadata.sqlite").write_bytes(b"damaged" * 1000)
    assert find(root, 2) is None
