"""`diptych serve` as a process: its start, its end, and what it does with a trained model."""

import concurrent.futures
import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import requests
import tensorflow as tf

from pipeline import cli
from tests.pipeline.refusals import refusal
from tests.pipeline.serving.server import tiny_model
from tests.pipeline.serving.server.running import INFER, PREDICT, version_that_loads
from tests.processes import in_session, wait_until


@contextlib.contextmanager
def serving(model, *flags, program=("-m", "pipeline.cli")):
    """Yields the process of `diptych serve`, which Python finds with `program`, and its address."""
    command = [sys.executable, *program, "serve", "--model", str(model), "--port", "0", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        said = process.stdout.readline()
        yield process, re.search(r"http://[\d.:]+", said)[0]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def infer(url, clips, *, samples):
    audio = np.random.default_rng(0).uniform(-1, 1, (clips, samples)).round(2)
    head = {"name": "audio", "datatype": "FP32", "shape": list(audio.shape), "data": audio.ravel().tolist()}
    return requests.post(url + INFER, json={"inputs": [head]}, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_it_answer_what_it_has_begun(exported, number):
    with serving(exported, "--drain-seconds", "1") as (process, url):
        with concurrent.futures.ThreadPoolExecutor(16) as threads:
            # Short clips, which are embedded as windows: little to send and much to do.
            begun = [threads.submit(infer, url, 1000, samples=10) for _ in range(16)]
            wait_until(lambda: "diptych_requests_in_progress 16.0" in requests.get(url + "/metrics", timeout=60).text)
            process.send_signal(number)
            wait_until(lambda: requests.get(url + "/v2/health/ready", timeout=60).status_code == 503)
            refused = requests.post(url + PREDICT, json={"instances": [[0.5]]}, timeout=60)
            assert refused.status_code == 503
            assert [future.result().status_code for future in begun] == [200] * 16
        assert process.wait(timeout=60) == 0
        wait_until(lambda: not in_session(process.pid))


@pytest.mark.slow
def test_a_signal_while_a_version_is_loaded_ends_it_before_python_ends(tmp_path):
    tiny_model.write(tmp_path / "1")
    # At the end of Python, TensorFlow would end the process with SIGABRT, but not each time.
    program = ("-c", "import atexit, pipeline.cli; atexit.register(print, 'Python ends'); exit(pipeline.cli.main())")
    with serving(tmp_path, "--drain-seconds", "0", program=program) as (process, _):
        with version_that_loads(tmp_path, like=1):
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
        assert "Python ends" not in process.stdout.read()
        wait_until(lambda: not in_session(process.pid))


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once(exported):
    with serving(exported, "--drain-seconds", "600") as (process, _):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


@pytest.mark.slow
def test_a_second_signal_ends_it_also_while_the_model_computes(exported):
    audio = np.random.default_rng(0).uniform(-1, 1, (1, 2**24)).astype(np.float32)
    head = {"name": "audio", "datatype": "FP32", "shape": list(audio.shape), "parameters": {"binary_data_size": 2**26}}
    text = json.dumps({"parameters": {"signature_name": "frames"}, "inputs": [head]})
    headers = {"Inference-Header-Content-Length": str(len(text))}
    with serving(exported, "--drain-seconds", "0", "--max-body", "128", "--max-seconds", "1e6") as (process, url):
        with pytest.raises(requests.ReadTimeout):
            requests.post(url + INFER, data=text.encode() + audio.tobytes(), headers=headers, timeout=(60, 3))
        assert "diptych_batch_clips_count 1.0" in requests.get(url + "/metrics", timeout=60).text
        for _ in range(2):
            assert process.poll() is None, "The model has ended before it was interrupted: give it more to do."
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
        assert process.wait(timeout=5) == 0
        wait_until(lambda: not in_session(process.pid))


@pytest.mark.slow
def test_a_trained_model_gives_its_own_embeddings(exported):
    signatures = tf.saved_model.load(exported).signatures
    audio = np.random.default_rng(0).uniform(-1, 1, (5, 20_000)).round(2).astype(np.float32)
    with serving(exported) as (_, url):
        for name, signature in signatures.items():
            if list(signature.structured_input_signature[1]) != ["audio"]:
                continue
            request = {"signature_name": name, "inputs": audio.tolist()}
            outputs = requests.post(url + PREDICT, json=request, timeout=120).json()["outputs"]
            for output, values in signature(audio=tf.constant(audio)).items():
                np.testing.assert_allclose(outputs[output], values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model", ""], "--model is empty: give the folder that"),
        (["--model", "/nowhere"], "--model /nowhere holds no SavedModel"),
        (["--model", "MODEL", "--index", "/nowhere.parquet"], "--index /nowhere.parquet: there is no such file"),
        (["--model", "MODEL", "--features", "log_mel"], "--features chooses vectors of --index: give both."),
        (["--model", "MODEL", "--max-requests", "0"], "--max-requests 0: give a number above 0."),
        (["--model", "MODEL", "--max-connections", "9999999999"], "--max-connections 9999999999 takes 10,000,000,255 "),
        (["--model", "MODEL", "--max-seconds", "nan"], "--max-seconds nan: give a number above 0."),
        (["--model", "MODEL", "--port", "70000"], "--port 70000: give a number below 65,536"),
        (["--model", "MODEL", "--drain-seconds", "-1"], "--drain-seconds -1: give a number of seconds."),
        (["--model", "MODEL", "--name", "a/b"], "--name a/b: give a name without / and :"),
        (["--model", "MODEL", "--host", "not.a.host.invalid"], "cannot listen at not.a.host.invalid, port 8501"),
    ],
)
def test_wrong_arguments_are_said_in_a_sentence(capsys, versions, flags, message):
    flags = [str(versions) if flag == "MODEL" else flag for flag in flags]
    assert message in refusal(capsys, "serve", *flags)


def test_a_port_that_is_taken_is_said(capsys, versions):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "in use): give another --port" in refusal(capsys, "serve", "--model", versions, "--port", port)


def test_the_help_names_the_ways_in(capsys):
    with pytest.raises(SystemExit):
        cli.main(["serve", "--help"])
    said = capsys.readouterr().out
    assert "/v1/models/NAME:predict" in said
    assert "/v2/models/NAME/infer" in said
