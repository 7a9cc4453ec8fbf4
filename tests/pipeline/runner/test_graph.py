import pytest

from components.errors import UserError
from pipeline.runner.graph import Pipeline
from tests.pipeline.runner import stages


def test_order_and_closures():
    pipeline = stages.build()
    assert pipeline.stages == ["Numbers", "Census", "Total", "Verdict"]
    assert pipeline.upstream("Verdict") == {"Numbers", "Total", "Verdict"}
    assert pipeline.downstream("Total") == {"Total", "Verdict"}


def test_channels_are_checked():
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
def test_stages_are_found_however_they_are_spelt(name):
    assert stages.build().find(name, flag="--from") == "Total"


def test_unknown_stage_gets_a_list():
    with pytest.raises(UserError, match="--from zzz: .* the stages are Numbers, Census, Total, Verdict"):
        stages.build().find("zzz", flag="--from")
