import apache_beam as beam
import pytest
from apache_beam.testing import util

from beam_jobs import runners


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--runner=Foo"], "Beam does not accept '--runner=Foo': Unexpected pipeline runner: Foo"),
        (["--runner"], "Beam does not accept '--runner': argument --runner: expected one argument"),
        (["--direct_num_workers=many"], "argument --direct_num_workers: invalid int value: 'many'"),
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
