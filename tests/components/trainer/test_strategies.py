import json

import pytest
import tensorflow as tf

from components.errors import UserError
from components.trainer import strategies

PLACE = "Graph execution error:\n\nDetected at node Read defined at (most recent call last):\n<stack traces>\n"


@pytest.fixture(autouse=True)
def two_machines(monkeypatch):
    cluster = {"cluster": {"worker": ["host0:1", "host1:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))


@pytest.mark.parametrize(
    "message",
    [
        "Collective ops is aborted by: Task /job:worker/replica:0/task:1 heartbeat timeout.",
        "failed to connect to all addresses\nAdditional GRPC error information from remote target "
        "/job:worker/replica:0/task:0 while calling /tensorflow.CoordinationService/Heartbeat:",
    ],
)
def test_an_error_of_another_machine_says_so(message):
    with pytest.raises(UserError) as raised, strategies.lost_machine_errors():
        raise tf.errors.UnavailableError(None, None, PLACE + message)
    reason = message.splitlines()[0].rstrip(".")
    assert str(raised.value).startswith(
        f"Another machine of TF_CONFIG has stopped or cannot be reached ({reason}): run"
    )


def test_an_error_of_storage_is_not_one_of_another_machine():
    message = "Error executing an HTTP request: HTTP response code 503 when reading gs://bucket/heartbeat/task:1/a"
    with pytest.raises(tf.errors.UnavailableError), strategies.lost_machine_errors():
        raise tf.errors.UnavailableError(None, None, f"{PLACE}{message}\n\t [[{{{{node Read}}}}]]")
