import time

import pytest
from etils import epath

from components import watching
from tests.processes import wait_until


@pytest.fixture(autouse=True)
def _short_interval(monkeypatch):
    monkeypatch.setattr(watching, "_LOCAL_INTERVAL_S", 0.01)


def failing(calls, *, failures):
    """Returns a report that fails the given times it is called, counted from 0."""

    def report():
        calls.append(time.monotonic())
        if len(calls) - 1 in failures:
            raise OSError("503 Service Unavailable")

    return report


def test_reports_go_on_after_errors_and_errors_in_a_row_are_logged_once(tmp_path, caplog):
    calls = []
    with watching.watching(epath.Path(tmp_path), failing(calls, failures={1, 2, 3, 6})):
        wait_until(lambda: len(calls) > 10)
    messages = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(messages) == 2
    assert all("503 Service Unavailable" in message for message in messages)


def test_an_error_of_the_last_report_does_not_fail_a_finished_stage(tmp_path):
    with watching.watching(epath.Path(tmp_path), failing([], failures=range(1000))):
        pass


def test_an_error_of_the_block_is_raised(tmp_path):
    with pytest.raises(ValueError, match="job"), watching.watching(epath.Path(tmp_path), failing([], failures={0})):
        raise ValueError("the job failed")
