"""`diptych gc` in a root of `diptych ablate`."""

from pipeline import cli
from pipeline.metadata.executions import State
from tests.pipeline.runner import chain, stages


def test_experiments_find_all_their_trainings_again_also_those_that_are_not_blessed(tmp_path):
    seeds = (1, 3, 2)  # Only the second one is blessed, and the last one is the newest run.
    for seed in seeds:
        stages.run(tmp_path, chain.build(seed))
    (tmp_path / "experiments").mkdir()
    assert cli.main(["gc", "--root", str(tmp_path), "--delete"]) == 0
    for seed in seeds:
        assert {execution.state for execution in stages.run(tmp_path, chain.build(seed)).values()} == {State.CACHED}
