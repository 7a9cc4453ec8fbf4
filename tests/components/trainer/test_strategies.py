import http.server
import importlib.util
import json
import threading

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


class Metadata(http.server.BaseHTTPRequestHandler):
    """What a machine of Google Cloud asks for its project and its zone."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"projects/1/zones/europe-west4-a")

    def log_message(self, *arguments):
        pass


def test_a_named_tpu_without_googles_client_is_one_sentence(monkeypatch):
    if importlib.util.find_spec("googleapiclient"):
        pytest.skip("google-api-python-client is installed, and would ask Google")
    with http.server.HTTPServer(("127.0.0.1", 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("GCE_METADATA_IP", f"127.0.0.1:{server.server_port}")
        with pytest.raises(UserError, match=r"no TPU 'slice' \(Missing runtime dependency.*google-api-python-client"):
            strategies.make("tpu", tpu="slice")
        server.shutdown()


@pytest.mark.parametrize("others", [{}, {"TPU_NAME": "other"}])
def test_auto_takes_the_tpu_that_the_config_names(monkeypatch, others):
    monkeypatch.setenv("GCE_METADATA_IP", "127.0.0.1:1")
    monkeypatch.delenv("TPU_NAME", raising=False)
    for name, value in others.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"no TPU 'slice' \("):
        strategies.make("auto", tpu="slice")


def test_a_named_tpu_elsewhere_than_on_google_cloud_is_one_sentence(monkeypatch):
    monkeypatch.setenv("GCE_METADATA_IP", "127.0.0.1:1")
    with pytest.raises(UserError, match=r"no TPU 'slice' \(.*refused.*\); name it with trainer.tpu"):
        strategies.make("tpu", tpu="slice")
