"""What a stage asks of the metadata costs the same after many runs as after few."""

import pytest

from pipeline.metadata.history import History
from pipeline.runner import decide
from tests.pipeline.metadata import many_runs

RUNS = (20, 200)

STEPS_OF_SQLITE = 20
"""Instructions between two calls of the handler that counts them."""


class Cost:
    """Counts the statements and the instructions of SQLite in a block."""

    def __init__(self, store):
        self._db = store._records._db
        self.statements, self.instructions = [], 0

    def __enter__(self):
        self._db.set_trace_callback(self.statements.append)
        self._db.set_progress_handler(self._count, STEPS_OF_SQLITE)
        return self

    def __exit__(self, *error):
        self._db.set_trace_callback(None)
        self._db.set_progress_handler(None, STEPS_OF_SQLITE)

    def _count(self):
        self.instructions += STEPS_OF_SQLITE


def decide_once(store, *, number):
    """Asks what the runner asks for a stage, and returns the cost."""
    history = History(store, "Trainer")
    reads = store.executions(stage="ExampleValidator", newest=1)[0].outputs["output"]
    with Cost(store) as cost:
        decision = decide.decide(many_runs.key_of("Trainer", number, reads=reads), code=many_runs.CODE, history=history)
        assert decision.reuse is None  # The folders are not there.
        next(history.other_outputs("output", reads), None)
        history.last_that_ran(cache_key="none")
        next(history.finished(), None)
    return cost


@pytest.fixture(scope="module", params=["every run ran", "every run but the first skipped all"])
def costs(request, tmp_path_factory):
    """The costs with few runs and with many."""
    found = []
    for runs in RUNS:
        folder = tmp_path_factory.mktemp("root")
        every = 1 if request.param == "every run ran" else runs
        store = many_runs.write(folder, runs=runs, every=every, stages=("ExampleValidator", "Trainer"))
        found.append(decide_once(store, number=(runs - 1) // every))
    return found


def test_the_number_of_statements_does_not_grow(costs):
    few, many = costs
    assert len(few.statements) == len(many.statements)
    assert len(many.statements) <= 30


def test_no_statement_goes_through_all_executions_or_their_properties(costs):
    _, many = costs
    assert many.instructions / RUNS[1] < 150  # To read all executions of the stage takes 400 a run.


def test_the_stage_and_key_are_looked_up_in_an_index(tmp_path):
    store = many_runs.write(tmp_path, runs=2, every=1, stages=("Trainer",))
    with Cost(store) as cost:
        History(store, "Trainer").last_finished(cache_key="abc")
    (statement,) = [statement for statement in cost.statements if "string_value = 'abc'" in statement]
    plan = [row["detail"] for row in store._records._db.execute(f"EXPLAIN QUERY PLAN {statement}")]
    assert any(
        "idx_execution_property_string (name=? AND is_custom_property=? AND string_value=?)" in row for row in plan
    )
    assert not [row for row in plan if row.startswith("SCAN") and "json_each" not in row]
