"""The Open Inference Protocol, with tensors in the JSON and after it."""

import base64
import json
import struct

import numpy as np
import pytest

from tests.pipeline.serving.server.running import INFER, ask, error_of
from tests.pipeline.serving.server.test_rest import wav

AUDIO = np.random.default_rng(2).uniform(-1, 1, (2, 6000)).astype(np.float32)
LENGTH = "Inference-Header-Content-Length"


def tensor(array, **parameters):
    return {"name": "audio", "datatype": "FP32", "shape": list(array.shape), **parameters}


def binary(document, *contents):
    """Returns the arguments of a request whose tensors follow its JSON."""
    text = json.dumps(document).encode()
    return {"data": b"".join([text, *contents]), "headers": {LENGTH: str(len(text))}}


def test_health_and_metadata(server):
    assert ask(server, "/v2/health/live").json() == {"live": True}
    assert ask(server, "/v2/health/ready").json() == {"ready": True}
    assert ask(server, "/v2").json()["extensions"] == ["binary_tensor_data"]
    for path in ("/v2/models/diptych", "/v2/models/diptych/versions/7"):
        answer = ask(server, path).json()
        assert answer["name"] == "diptych"
        assert answer["versions"] == ["7"]
        assert answer["inputs"] == [{"name": "audio", "datatype": "FP32", "shape": [-1, -1]}]
        outputs = {output["name"]: output["shape"] for output in answer["outputs"]}
        assert outputs == {"embedding": [-1, 5], "first": [-1, 3], "second": [-1, 2]}
    assert ask(server, "/v2/models/diptych/ready").json() == {"name": "diptych", "ready": True}
    error_of(ask(server, "/v2/models/other/ready"), status=404)


@pytest.mark.parametrize("data", [AUDIO.tolist(), AUDIO.ravel().tolist()])
def test_inputs_in_json(server, signatures, data):
    answer = ask(server, INFER, {"id": "a1", "inputs": [tensor(AUDIO, data=data)]}).json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("diptych", "7", "a1")
    expected = signatures["serving_default"](audio=AUDIO)
    assert {output["name"] for output in answer["outputs"]} == set(expected)
    for output in answer["outputs"]:
        assert output["datatype"] == "FP32"
        values = np.reshape(output["data"], output["shape"])
        np.testing.assert_allclose(values, expected[output["name"]], rtol=1e-6, atol=1e-4)


def test_only_the_outputs_that_are_wanted(server):
    request = {"inputs": [tensor(AUDIO, data=AUDIO.tolist())], "outputs": [{"name": "second"}]}
    assert [output["name"] for output in ask(server, INFER, request).json()["outputs"]] == ["second"]


def test_tensors_may_follow_the_json(server, signatures):
    head = tensor(AUDIO, parameters={"binary_data_size": AUDIO.nbytes})
    request = {"parameters": {"signature_name": "windows", "binary_data_output": True}, "inputs": [head]}
    answer = ask(server, INFER, **binary(request, AUDIO.tobytes()))
    length = int(answer.headers[LENGTH])
    document, rest = json.loads(answer.content[:length]), answer.content[length:]
    expected = signatures["windows"](audio=AUDIO)
    for output in document["outputs"]:
        size = output["parameters"]["binary_data_size"]
        values = np.frombuffer(rest[:size], np.float32).reshape(output["shape"])
        np.testing.assert_array_equal(values, expected[output["name"]].numpy())
        rest = rest[size:]
    assert not rest
    mixed = {"inputs": [head], "outputs": [{"name": "first", "parameters": {"binary_data": True}}, {"name": "second"}]}
    answer = ask(server, INFER, **binary(mixed, AUDIO.tobytes()))
    outputs = json.loads(answer.content[: int(answer.headers[LENGTH])])["outputs"]
    assert ["data" in output for output in outputs] == [False, True]


def test_bytes_in_base64_and_after_the_json(server, signatures):
    files = [wav(AUDIO[0]), wav(AUDIO[1, :3000])]
    expected = signatures["wav_bytes"](wav_bytes=np.array(files, object))["embedding"]
    head = {"name": "wav_bytes", "datatype": "BYTES", "shape": [2]}
    parameters = {"signature_name": "wav_bytes"}
    texts = [base64.b64encode(file).decode() for file in files]
    inputs = [{**head, "data": texts, "parameters": {"content_type": "base64"}}]
    (output,) = ask(server, INFER, {"parameters": parameters, "inputs": inputs}).json()["outputs"]
    np.testing.assert_allclose(np.reshape(output["data"], (2, 5)), expected, rtol=1e-5, atol=1e-4)
    content = b"".join(struct.pack("<I", len(file)) + file for file in files)
    inputs = [{**head, "parameters": {"binary_data_size": len(content)}}]
    answer = ask(server, INFER, **binary({"parameters": parameters, "inputs": inputs}, content))
    np.testing.assert_allclose(np.reshape(answer.json()["outputs"][0]["data"], (2, 5)), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "inputs must be a list of objects"),
        ({"inputs": [3]}, "inputs must be a list of objects"),
        ({"inputs": []}, "inputs is empty"),
        ({"inputs": [tensor(AUDIO, data=AUDIO.tolist())] * 2}, "audio is given twice"),
        (
            {"inputs": [tensor(AUDIO, parameters={"binary_data_size": "48000"})]},
            "binary_data_size of audio must be a number of bytes, not '48000'",
        ),
        ({"inputs": [{"name": "sound"}]}, "takes audio, and no sound"),
        ({"inputs": [{"name": "audio", "datatype": "FP64"}]}, "The datatype of audio is FP64: send FP32."),
        ({"inputs": [tensor(AUDIO, shape=[-1, 3])]}, "must be a list of sizes"),
        ({"inputs": [tensor(AUDIO, shape=[True])]}, "must be a list of sizes"),
        ({"inputs": [tensor(AUDIO, shape=[1] * 100, data=[1.0])]}, "has 100 sizes, more than any signature takes"),
        ({"inputs": [tensor(AUDIO)]}, "numbers alone"),
        ({"inputs": [tensor(AUDIO, data=[1.0])]}, "audio has 1 values, and its shape [2, 6000] tells of 12,000."),
        ({"inputs": [tensor(AUDIO, shape=[3], data=[1, 2, 3])]}, "the signature takes [any, any]"),
        ({"inputs": [tensor(AUDIO, parameters={"binary_data_size": 48000})]}, "0 bytes are left"),
        ({"inputs": [tensor(AUDIO, parameters=3)]}, "parameters must be an object"),
        ({"id": 3, "inputs": [tensor(AUDIO, data=AUDIO.tolist())]}, "id must be a string"),
        ({"inputs": [tensor(AUDIO, data=AUDIO.tolist())], "outputs": [{"name": "x"}]}, "no output x"),
    ],
)
def test_what_is_wrong_is_said(server, document, message):
    assert message in error_of(ask(server, INFER, document), status=400)


def test_an_id_that_no_answer_can_repeat_is_refused(server):
    # Of documents with NaN, halves of surrogate pairs are read, too.
    text = json.dumps(
        {"id": "\ud800", "parameters": {"x": float("nan")}, "inputs": [tensor(AUDIO, data=AUDIO.tolist())]}
    )
    assert "id holds half of a surrogate pair" in error_of(ask(server, INFER, data=text), status=400)


def test_shapes_without_values_make_no_work(server):
    request = {"inputs": [tensor(AUDIO, shape=[2**30, 0], data=[])]}
    assert "s of sound" in error_of(ask(server, INFER, request), status=413)


def test_wrong_lengths_of_what_follows_the_json_are_said(server):
    for length in ("9" * 5000, "-1", "1e3"):
        answer = ask(server, INFER, data=b"{}", headers={"Inference-Header-Content-Length": length})
        assert "and the body has 2 bytes" in error_of(answer, status=400)
    head = tensor(AUDIO, parameters={"binary_data_size": AUDIO.nbytes - 1})
    assert "no number of float32" in error_of(
        ask(server, INFER, **binary({"inputs": [head]}, bytes(50_000))), status=400
    )
    head = tensor(AUDIO, parameters={"binary_data_size": AUDIO.nbytes})
    answer = ask(server, INFER, **binary({"inputs": [head]}, AUDIO.tobytes() + b"1"))
    assert "1 bytes follow" in error_of(answer, status=400)
    answer = ask(server, INFER, data=b"{}", headers={LENGTH: "9"})
    assert "the body has 2 bytes" in error_of(answer, status=400)
    files = {"name": "wav_bytes", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 6}}
    request = {"parameters": {"signature_name": "wav_bytes"}, "inputs": [files]}
    assert "break off in an element" in error_of(ask(server, INFER, **binary(request, b"\x09\0\0\0ab")), status=400)
