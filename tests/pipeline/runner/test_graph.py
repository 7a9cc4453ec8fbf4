import pytest

from components.errors import UserError
from pipeline.runner.graph import Pipeline
from tests.pipeline.runner import stages


def test_upstream_and_downstream_include_the_stage_itself():
    pipeline = stages.build()
    assert pipeline.stages == ["Numbers", "Census", "Total", "Verdict"]
    assert pipeline.upstream("Verdict") == {"Numbers", "Total", "Verdict"}
    assert pipeline.downstream("Total") == {"Total", "Verdict"}


def test_inputs_are_checked_when_a_stage_is_added():
    pipeline = Pipeline()
    examples = pipeline.add(stages.Numbers())["examples"]
    with pytest.raises(ValueError, match="Total needs its input examples"):
        pipeline.add(stages.Total())
    with pytest.raises(ValueError, match="Total has no input audio"):
        pipeline.add(stages.Total(), examples=examples, audio=examples)
    with pytest.raises(ValueError, match=r"Verdict.model takes Model, Numbers.examples is Examples"):
        pipeline.add(stages.Verdict(), model=examples)
    with pytest.raises(ValueError, match="Numbers is in the pipeline twice"):
        pipeline.add(stages.Numbers())
    with pytest.raises(ValueError, match="reads from Numbers, which is not in the pipeline"):
        Pipeline().add(stages.Total(), examples=examples)


@pytest.mark.parametrize("name", ["Total", "total", "TOTAL", "to_tal"])
def test_find_ignores_case_and_underscores(name):
    assert stages.build().find(name, flag="--from") == "Total"


def test_the_error_for_an_unknown_stage_lists_all_stages():
    with pytest.raises(UserError, match="--from zzz: .* the stages are Numbers, Census, Total, Verdict"):
        stages.build().find("zzz", flag="--from")
