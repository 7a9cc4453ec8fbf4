"""The package ml-metadata reads the store of a run with its own functions, as a notebook of a user would."""

import pytest

from tests.pipeline.runner import stages

metadata_store = pytest.importorskip(
    "ml_metadata.metadata_store.metadata_store", reason="ml-metadata has no build for this Python"
)


@pytest.fixture
def store(tmp_path):
    """The store of a root with two runs, the second of which reused everything."""
    from ml_metadata.proto import metadata_store_pb2 as pb

    for _ in range(2):
        stages.run(tmp_path, stages.build())
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(tmp_path / "metadata.sqlite")
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE  # It adds some types of its own.
    return metadata_store.MetadataStore(config)


def test_runs_executions_and_artifacts(store):
    runs = store.get_contexts_by_type("pipeline_run")
    assert len(runs) == 2
    states = [{execution.type: execution.last_known_state for execution in _executions(store, run)} for run in runs]
    names = ("Numbers", "Census", "Total", "Verdict")
    assert states == [dict.fromkeys(names, 3), dict.fromkeys(names, 5)]
    (model,) = store.get_artifacts_by_uri("artifacts/Total/model/3")
    assert (model.type, model.state) == ("Model", 2)
    assert [execution.id for execution in store.get_executions_by_type("Total")] == [3, 7]
    assert store.get_executions_by_type("Total")[0].custom_properties["summary"].string_value == "total 3, from step 0"


def test_its_graph_of_lineage(store):
    (verdict,) = store.get_artifacts_by_uri("artifacts/Verdict/blessing/4")
    graph = store.get_lineage_subgraph(_query(verdict.id))
    assert {"Numbers", "Total", "Verdict"} <= {execution.type for execution in graph.executions}
    assert {"artifacts/Numbers/examples/1", "artifacts/Total/model/3"} <= {artifact.uri for artifact in graph.artifacts}


def _executions(store, run):
    return store.get_executions_by_context(run.id)


def _query(artifact_id):
    from ml_metadata.proto import metadata_store_pb2 as pb

    query = pb.LineageSubgraphQueryOptions()
    query.starting_artifacts.filter_query = f"id = {artifact_id}"
    query.max_num_hops = 20
    query.direction = pb.LineageSubgraphQueryOptions.UPSTREAM
    return query
