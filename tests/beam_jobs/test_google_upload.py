"""Large files to Cloud Storage, against an emulator: few requests, little memory, and whatever disturbs them."""

import base64
import itertools
import tracemalloc
import types

import google_crc32c
import numpy as np
import pytest
from etils import epath

from beam_jobs import finished_files, google_storage, google_upload, storage
from components import file_errors, passing_errors
from tests import emulated_bucket

FILE = epath.Path("gs://bucket/root/shard.0123")
MIB = 2**20
SHARD = 128 * MIB + 5


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """Makes the pauses between tries short."""
    emulated_bucket.hurry(monkeypatch)


@pytest.fixture
def send(buckets, tmp_path):
    """Returns a function that writes a file of a size into the bucket, and returns the requests that it took."""

    def send(size):
        content = np.random.default_rng(1).bytes(size)
        (tmp_path / "file").write_bytes(content)
        before = len(buckets.requests())
        finished_files.put(tmp_path / "file", FILE, record='{"clips": 5}')
        requests = buckets.requests(start=before)
        assert finished_files.read_records(FILE.parent) == {"shard": '{"clips": 5}'}
        assert google_storage.read(FILE) == content
        return requests

    return send


@pytest.mark.parametrize("size", [0, 1, 8 * MIB])
def test_a_small_file_takes_one_request(send, size):
    assert [request.kind for request in send(size)] == ["upload"]


@pytest.mark.parametrize(
    ("size", "faults"),
    [
        (40 * MIB, []),
        pytest.param(SHARD, [], marks=pytest.mark.slow),
        pytest.param(SHARD, [50 * MIB + 1, 30 * MIB, 503, 0.0, 429], marks=pytest.mark.slow),
    ],
    ids=["large", "a shard", "a shard, disturbed"],
)
def test_a_large_file_takes_two_requests_and_hardly_any_memory(buckets, tmp_path, size, faults):
    shard = epath.Path(tmp_path / "shard")
    shard.write_bytes(np.random.default_rng(1).bytes(size))
    google_storage.list_files(FILE.parent)  # Loads what takes memory once.
    buckets.disturb(parts=faults)
    before = len(buckets.requests())
    tracemalloc.start()
    storage.move_in(shard, FILE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    requests = buckets.requests(start=before)
    assert [request.kind for request in requests] == ["upload"] * (2 + 2 * len(faults))
    assert peak < MIB
    listed = google_storage.list_files(FILE.parent)[FILE.name]
    checksum = google_crc32c.Checksum(shard.read_bytes()).digest()
    assert (listed.bytes, listed.crc32c) == (size, base64.b64encode(checksum).decode())


def test_what_has_arrived_before_a_connection_breaks_is_not_sent_again(buckets, send):
    buckets.disturb(parts=[3 * MIB + 7, 5 * MIB])
    requests = send(20 * MIB)
    assert {request.kind for request in requests} == {"upload"}
    # The start, the first part, a question, the second part, a question, and the rest.
    assert [request.sent for request in requests[1:]] == [3 * MIB + 7, 0, 5 * MIB, 0, 12 * MIB]


@pytest.mark.parametrize("status", [404, 410])
def test_an_upload_that_the_service_has_forgotten_is_started_again(buckets, send, status):
    buckets.disturb(parts=[4 * MIB, status])
    requests = send(9 * MIB)
    assert [request.method for request in requests] == ["POST", "PUT", "PUT", "PUT", "POST", "PUT"]
    assert requests[-1].sent == 9 * MIB


@pytest.mark.parametrize("fault", [429, 503, 0.0], ids=["too many requests", "unavailable", "no answer"])
def test_each_request_is_tried_again(buckets, send, fault):
    buckets.disturb(parts=[fault, 4 * MIB, fault, fault], every=3, answers=[fault])
    assert sum(request.sent for request in send(10 * MIB)) < 50 * MIB


def test_a_service_that_does_not_answer_is_asked_again_after_the_deadline(buckets, send, monkeypatch):
    emulated_bucket.shorten_deadlines(monkeypatch, seconds=1)
    buckets.disturb(first_tries="silence")
    methods = [request.method for request in send(9 * MIB)]
    # The start, twice; the file, the question, and the file again.
    assert (methods.count("POST") >= 2, methods.count("PUT") >= 3) == (True, True)


def test_an_answer_that_is_lost_does_not_send_the_file_again(buckets, tmp_path, monkeypatch):
    put = google_upload._Upload._put
    (tmp_path / "file").write_bytes(bytes(9 * MIB))

    def lose(upload, content, *, content_range):
        put(upload, content, content_range=content_range)
        if content:
            upload._is_known = False
            raise ConnectionError

    monkeypatch.setattr(google_upload._Upload, "_put", lose)
    storage.move_in(epath.Path(tmp_path / "file"), FILE)
    assert [request.sent for request in buckets.requests()[1:]] == [9 * MIB, 0]


def test_credentials_that_are_too_old_are_renewed(buckets, send, monkeypatch):
    monkeypatch.setattr("google.auth.credentials.AnonymousCredentials.refresh", lambda credentials, request: None)
    buckets.disturb(parts=[401])
    assert [request.sent for request in send(9 * MIB)[1:]] == [9 * MIB, 9 * MIB]


def test_a_service_that_takes_only_a_part_gets_the_rest(buckets, send, monkeypatch):
    """It may answer so, instead of closing the connection."""
    put = google_upload._Upload._put

    def part(upload, content, *, content_range):
        try:
            put(upload, content, content_range=content_range)
        except OSError:
            put(upload, b"", content_range=f"bytes */{9 * MIB}")

    monkeypatch.setattr(google_upload._Upload, "_put", part)
    buckets.disturb(parts=[4 * MIB])
    assert [request.sent for request in send(9 * MIB)[1:]] == [4 * MIB, 0, 5 * MIB]


def test_a_service_that_fails_again_and_again_is_an_error_that_may_pass(buckets, tmp_path, monkeypatch):
    monkeypatch.setattr(google_upload, "_PATIENCE_S", 0.2)
    (tmp_path / "file").write_bytes(bytes(9 * MIB))
    buckets.disturb(parts=[4 * MIB, *[503] * 1000])
    with pytest.raises(Exception, match="503") as caught:
        storage.move_in(epath.Path(tmp_path / "file"), FILE)
    assert passing_errors.may_pass(caught.value)
    assert google_storage.stat(FILE) is None


def test_patience_begins_anew_when_more_arrives(buckets, send, monkeypatch):
    clock = itertools.count(step=40)  # Each failure 50 s after the one before.
    monkeypatch.setattr(google_upload, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    buckets.disturb(parts=[MIB, 503, 503] * 3)
    send(9 * MIB)


def test_what_the_service_refuses_is_one_clear_sentence(buckets, tmp_path):
    (tmp_path / "file").write_bytes(bytes(9 * MIB))
    for faults in ({"refused": "upload"}, {"parts": [403]}):
        buckets.disturb(**faults)
        with pytest.raises(Exception) as caught:  # noqa: PT011
            storage.move_in(epath.Path(tmp_path / "file"), FILE)
        assert file_errors.reason(caught.value) == "the service refuses these credentials"
