"""Requests that are too large, too many, too slow or nonsense."""

import asyncio
import concurrent.futures
import dataclasses
import http.client
import json
import re
import struct
import threading
import time
import types

import numpy as np
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.serving.server import calls
from pipeline.serving.server.limits import Limits, Refused
from tests.components import embedding_infos
from tests.pipeline.serving.server.running import INFER, PREDICT, ask, begin, connect, error_of, metric, running
from tests.processes import wait_until

ONE = {"instances": [[0.5, 0.25]]}


@pytest.fixture(scope="module")
def small(versions):
    """A server with room for two requests, which have a second to arrive."""
    with running(versions, requests=2, read_s=1.0, all_bodies_bytes=5000, body_bytes=4000) as server:
        yield server


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server):
    connection = begin(server, length=2**40, body=b"")
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    assert answer.status == 413
    assert b"The body has more than 1,048,576 bytes" in answer.read()
    connection.close()

    def chunks():
        for _ in range(40):
            yield bytes(2**16)

    assert "1,048,576 bytes" in error_of(requests.post(server.url + PREDICT, data=chunks(), timeout=30), status=413)


def test_too_much_sound_is_refused(server):
    head = {"name": "audio", "datatype": "FP32", "shape": [300, 2], "data": [0.0] * 600}
    # Each of 300 clips of two samples is embedded as a window of 0.25 s.
    message = "The request holds 75 s of sound, where a clip counts at least as a window, and more than 60 s"
    assert message in error_of(ask(server, INFER, {"inputs": [head]}), status=413)


def infer_wavs(server, *files):
    """Sends WAV files after the JSON of a request."""
    content = b"".join(struct.pack("<I", len(file)) + file for file in files)
    text = (
        '{"parameters": {"signature_name": "wav_bytes"}, "inputs": [{"name": "wav_bytes", "datatype": "BYTES", '
        f'"shape": [{len(files)}], "parameters": {{"binary_data_size": {len(content)}}}}}]}}'
    )
    headers = {"Inference-Header-Content-Length": str(len(text))}
    return ask(server, INFER, data=text.encode() + content, headers=headers)


def wav_format(rate):
    return b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, 2, 2, 16)


@pytest.mark.parametrize(
    "formats",
    [[1], [4_000_000_000, 4000], [1, 4000]],
    ids=["slow", "the model takes the last format", "and so only the last one counts"],
)
def test_the_sound_of_a_wav_counts_as_the_model_reads_it(server, formats):
    samples = bytes(2 * 4000 * 61 if formats[-1] == 4000 else 999)
    file = b"RIFF\0\0\0\0WAVE" + b"".join(map(wav_format, formats)) + b"data\xff\xff\xff\x7f"
    assert "s of sound" in error_of(infer_wavs(server, file + samples), status=413)
    if formats[-1] == 4000:
        assert "The model refuses the input" in error_of(infer_wavs(server, file + samples[:8000]), status=400)


def test_a_wav_of_more_chunks_than_the_model_looks_at_counts_as_none():
    chunks = [b"RIFF\0\0\0\0WAVE", *[b"abcd\0\0\0\0"] * 998, wav_format(4000), b"data\0\0\0\0", bytes(8000)]
    assert 1 < calls._wav_seconds(b"".join(chunks)) < 5
    assert not calls._wav_seconds(b"".join([*chunks[:5], *chunks[1:]]))


def test_what_is_many_little_things_is_refused(server):
    too_many = [b""] * 20_001
    assert "wav_bytes has more than 20,000 elements" in error_of(infer_wavs(server, *too_many), status=400)
    texts = {"signature_name": "wav_bytes", "inputs": [""] * 20_001}
    assert "wav_bytes has more than 20,000 elements" in error_of(ask(server, PREDICT, texts), status=400)
    tensor = {"name": "wav_bytes", "datatype": "BYTES", "shape": [20_001], "data": [""] * 20_001}
    document = {"parameters": {"signature_name": "wav_bytes"}, "inputs": [tensor]}
    assert "wav_bytes has more than 20,000 elements" in error_of(ask(server, INFER, document), status=400)
    texts["inputs"] = [""] * 150_000
    assert "The body has more than 100,000 strings" in error_of(ask(server, PREDICT, texts), status=400)


@pytest.mark.parametrize("way", ["binary", "json"])
def test_large_requests_are_read_and_checked_beside_the_others(versions, monkeypatch, way):
    names = []

    def check(*given, **limits):
        names.append(threading.current_thread().name)
        raise Refused(400, "It was looked at.")

    monkeypatch.setattr(calls, "check", check)
    with running(versions) as server:
        for size in (100, 2**20):
            if way == "binary":
                answer = infer_wavs(server, bytes(size))
            else:
                document = {"signature_name": "wav_bytes", "inputs": ["a" * size]}
                answer = ask(server, PREDICT, document)
            assert "It was looked at" in error_of(answer, status=400)
    in_the_loop, beside = names
    assert in_the_loop != beside
    assert beside.startswith("AnyIO worker thread")


def test_large_requests_that_are_given_up_still_count_until_they_are_read(versions, monkeypatch):
    lock, at_a_time, most = threading.Lock(), 0, 0

    def check(*given, **limits):
        nonlocal at_a_time, most
        with lock:
            at_a_time += 1
            most = max(most, at_a_time)
        time.sleep(0.5)
        with lock:
            at_a_time -= 1
        raise Refused(400, "It was looked at.")

    monkeypatch.setattr(calls, "check", check)
    document = {"signature_name": "wav_bytes", "inputs": ["a" * 2**20]}
    with running(versions, answer_s=0.2) as server, concurrent.futures.ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: ask(server, PREDICT, document), range(4)))
        assert {answer.status_code for answer in answers} <= {400, 503}
        assert most == 1
        assert at_a_time == 0


def test_sound_counts_more_where_it_is_cut_into_more_windows():
    info = dataclasses.replace(embedding_infos.LOG_MEL, frame_hop_samples=400)
    audio = {"audio": np.zeros((2, 4 * info.sample_rate), np.float32)}

    def check(name, *, seconds):
        signature = types.SimpleNamespace(name=name)
        calls._check_length(signature, audio, info=info, limits=Limits(seconds=seconds))

    check("windows", seconds=8)
    check("frames", seconds=80)
    with pytest.raises(Refused, match="holds 8 s of sound, each of which counts as 10 because of its many windows"):
        check("frames", seconds=79)


def test_requests_beyond_the_room_are_told_to_come_again(small):
    held = [begin(small), begin(small)]
    wait_until(lambda: metric(small, "diptych_requests_in_progress") == 2)
    answer = ask(small, PREDICT, ONE)
    assert "has 2 requests already" in error_of(answer, status=429)
    assert answer.headers["retry-after"] == "1"
    assert ask(small, "/v2/health/ready").status_code == 200  # Probes are always answered.
    for connection in held:
        connection.close()
    wait_until(lambda: ask(small, PREDICT, ONE).status_code == 200)
    assert metric(small, 'diptych_refused_total{reason="requests"}') >= 1


def test_bodies_have_a_bound_together(small):
    held = begin(small, length=4000)
    wait_until(lambda: metric(small, "diptych_requests_in_progress") == 1)
    answer = ask(small, PREDICT, data=b" " * 2000)
    assert "no room for this request" in error_of(answer, status=429)
    assert ask(small, PREDICT, ONE).status_code == 200
    held.close()


def test_a_request_that_is_not_answered_in_time_is_given_up(versions, monkeypatch):
    given_up = threading.Event()

    async def never(*given, **named):
        try:
            await asyncio.sleep(3600)
        finally:
            given_up.set()

    monkeypatch.setattr(calls, "call", never)
    with running(versions, answer_s=0.3) as server:
        answer = ask(server, PREDICT, ONE)
        assert "There was no answer within 0.3 s" in error_of(answer, status=503)
        assert answer.headers["retry-after"] == "1"
        assert given_up.is_set()
        assert metric(server, "diptych_requests_in_progress") == 0
        assert metric(server, 'diptych_refused_total{reason="slow"}') == 1


def test_a_server_that_is_about_to_end_refuses_work_and_says_so_to_probes(versions):
    with running(versions) as server:
        server.admission.is_draining = True
        server._told_at = time.monotonic() + 3600  # So that it does not end within this test.
        answer = ask(server, PREDICT, ONE)
        assert "about to end" in error_of(answer, status=503)
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["connection"] == "close"
        for path in ("/v2/health/ready", "/v2/models/diptych/ready"):
            probe = ask(server, path)
            assert (probe.status_code, probe.json()["ready"]) == (503, False)
        assert ask(server, "/v2/health/live").status_code == 200


def test_more_connections_than_allowed_are_refused(versions):
    with running(versions, connections=3) as server:
        held = [connect(server) for _ in range(3)]
        wait_until(lambda: requests.get(server.url + "/v2/health/live", timeout=30).status_code == 503)
        for connection in held:
            connection.close()
        wait_until(lambda: requests.get(server.url + "/v2/health/live", timeout=30).status_code == 200)


def test_a_page_on_the_web_cannot_use_a_name_that_leads_here(server):
    answer = requests.get(server.url + "/page/info", headers={"host": "evil.example"}, timeout=30)
    assert answer.status_code == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["b64", "audio", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(
    st.sampled_from(["instances", "inputs", "signature_name", "parameters", "outputs", "id"]), JSON, max_size=4
)
TENSORS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["audio", "wav_bytes", "", 3]),
        "datatype": st.sampled_from(["FP32", "BYTES", None]),
        "shape": JSON | st.lists(st.integers(-1, 5), max_size=3),
        "data": JSON,
        "parameters": JSON | st.dictionaries(st.just("binary_data_size"), JSON, max_size=1),
    },
)


@settings(max_examples=40)
@given(path=st.sampled_from([PREDICT, INFER, "/page/embed"]), body=st.binary(max_size=300))
def test_random_bytes_are_refused(server, path, body):
    assert 400 <= ask(server, path, data=body).status_code < 500


@settings(max_examples=40)
@given(path=st.sampled_from([PREDICT, INFER]), document=DOCUMENTS)
def test_random_documents_are_answered(server, path, document):
    answer = ask(server, path, data=json.dumps(document).encode(errors="surrogatepass"))
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text


@settings(max_examples=40)
@given(tensors=st.lists(TENSORS, max_size=2), tail=st.binary(max_size=40), is_binary=st.booleans())
def test_random_tensors_are_answered(server, tensors, tail, is_binary):
    text = json.dumps({"inputs": tensors}).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))} if is_binary else {}
    answer = ask(server, INFER, data=text + tail, headers=headers)
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text


@settings(max_examples=40)
@given(head=st.binary(max_size=200))
def test_what_is_no_http_ends_only_its_own_connection(server, head):
    connection = connect(server)
    connection.sendall(head + b"\r\n\r\n")
    connection.settimeout(5)
    try:
        answer = connection.recv(2000)
        assert answer == b"" or re.match(rb"HTTP/1.1 [24]\d\d ", answer)
    except ConnectionResetError:
        pass
    connection.close()
    assert ask(server, "/v2/health/live").status_code == 200
