"""TensorFlow Serving's REST API, compared with calls of the SavedModel."""

import base64
import io
import json

import numpy as np
import pytest
import requests
import soundfile
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2

from tests.pipeline.serving.server.running import PREDICT, ask, error_of

AUDIO = np.random.default_rng(0).uniform(-1, 1, (3, 9000)).astype(np.float32)


def wav(samples):
    content = io.BytesIO()
    soundfile.write(content, samples, 16000, format="WAV", subtype="PCM_16")
    return content.getvalue()


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


def test_rows_become_rows(server, signatures):
    expected = {name: value.numpy() for name, value in signatures["serving_default"](audio=AUDIO).items()}
    for instances in (AUDIO.tolist(), [{"audio": clip} for clip in AUDIO.tolist()]):
        answer = ask(server, PREDICT, {"instances": instances})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        rows = answer.json()["predictions"]
        assert [set(row) for row in rows] == [set(expected)] * 3
        for name, values in expected.items():
            np.testing.assert_allclose([row[name] for row in rows], values, rtol=1e-6, atol=1e-4)


def test_columns_become_columns_of_the_signature_that_is_named(server, signatures):
    expected = signatures["windows"](audio=AUDIO)
    for inputs in (AUDIO.tolist(), {"audio": AUDIO.tolist()}):
        answer = ask(server, PREDICT, {"signature_name": "windows", "inputs": inputs})
        outputs = answer.json()["outputs"]
        assert set(outputs) == set(expected)
        for name, values in expected.items():
            np.testing.assert_allclose(outputs[name], values, rtol=1e-6, atol=1e-4)


def test_the_only_output_has_no_name_and_bytes_are_base64(server, signatures):
    files = [wav(AUDIO[0]), wav(AUDIO[1, :5000])]
    expected = signatures["wav_bytes"](wav_bytes=np.array(files, object))["embedding"]
    request = {"signature_name": "wav_bytes", "instances": [{"wav_bytes": b64(file)} for file in files]}
    np.testing.assert_allclose(ask(server, PREDICT, request).json()["predictions"], expected, rtol=1e-5, atol=1e-4)
    request = {"signature_name": "wav_bytes", "inputs": [b64(file) for file in files]}
    np.testing.assert_allclose(ask(server, PREDICT, request).json()["outputs"], expected, rtol=1e-5, atol=1e-4)


def test_what_is_not_finite_is_a_bare_token_both_ways(server):
    body = '{"instances": [[NaN, 1.0], [Infinity, -Infinity], [0.5, 0.5]]}'
    answer = ask(server, PREDICT, data=body)
    rows = json.loads(answer.text)["predictions"]
    assert np.isnan(rows[0]["embedding"]).all()
    assert np.isnan(rows[1]["embedding"]).all()
    assert np.isfinite(rows[2]["embedding"]).all()
    assert "NaN" in answer.text


def test_an_embedding_survives_the_json_to_the_last_bit(server, signatures):
    expected = signatures["serving_default"](audio=AUDIO[:1])["embedding"].numpy()
    row = ask(server, PREDICT, {"instances": AUDIO[:1].tolist()}).json()["predictions"][0]["embedding"]
    np.testing.assert_array_equal(np.array(row, np.float32), expected[0])


def test_more_clips_than_a_batch_are_embedded_in_order(server, signatures):
    audio = np.random.default_rng(1).uniform(-1, 1, (21, 100)).astype(np.float32)
    expected = signatures["serving_default"](audio=audio)["embedding"]
    rows = ask(server, PREDICT, {"inputs": audio.tolist()}).json()["outputs"]["embedding"]
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-4)


def test_the_status_and_the_metadata_are_those_of_tensorflow_serving(server, versions):
    status = {"version": "7", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("/v1/models/diptych", "/v1/models/diptych/versions/7"):
        assert ask(server, path).json() == {"model_version_status": [status]}
    answer = ask(server, "/v1/models/diptych/metadata").json()
    assert answer["model_spec"] == {"name": "diptych", "signature_name": "", "version": "7"}
    saved = saved_model_pb2.SavedModel.FromString((versions / "7" / "saved_model.pb").read_bytes())
    for name, signature in saved.meta_graphs[0].signature_def.items():
        described = answer["metadata"]["signature_def"]["signature_def"][name]
        assert json_format.ParseDict(described, type(signature)()) == signature
    audio = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]["audio"]
    assert audio["dtype"] == "DT_FLOAT"
    assert audio["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}] * 2
    assert audio["tensor_shape"]["unknown_rank"] is False
    assert answer["metadata"]["embedding_info"]["sample_rate"] == 16000


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v1/models/other:predict", 404, "There is no model other: this server has diptych."),
        ("/v1/models/diptych/versions/8:predict", 404, "Version 8 of diptych is not served: ask for version 7"),
        (f"/v1/models/diptych/versions/{2**63 - 1}:predict", 404, "is not served: ask for version 7"),
        (f"/v1/models/diptych/versions/{'9' * 5000}:predict", 404, "There is no POST"),
        ("/v1/models/diptych/labels/stable:predict", 404, "knows no labels"),
        ("/v1/models/diptych:classify", 400, "no method classify: call :predict"),
        ("/v1/models", 404, "There is no POST /v1/models."),
        ("/v1/models/diptych", 405, "POST /v1/models/diptych: Method Not Allowed: use GET or HEAD."),
    ],
)
def test_what_is_not_there_is_said(server, path, status, message):
    assert message in error_of(ask(server, path, {"instances": [[0.0]]}), status=status)


@pytest.mark.parametrize("path", [PREDICT, "/v1/models/diptych/versions/7:predict", "/v1/models/diptych:classify"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_another_method_than_post_is_said(server, path, method):
    answer = requests.request(method, server.url + path, timeout=30)
    assert error_of(answer, status=405) == f"{method} {path}: Method Not Allowed: use POST."
    assert answer.headers["allow"] == "POST"


def test_a_version_may_be_named(server):
    answer = ask(server, "/v1/models/diptych/versions/7:predict", {"instances": [[0.0]]})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 5000, "not JSON"),
        ("[1]", "not a JSON object"),
        ("{}", "either instances or inputs"),
        ('{"instances": [[0]], "inputs": [[0]]}', "either instances or inputs"),
        ('{"instances": []}', "at least one clip"),
        ('{"instances": 3}', "at least one clip"),
        ('{"instances": [[0], [0, 1]]}', "lists of equal lengths"),
        ('{"instances": [0.5]}', "audio has the shape [1], and the signature takes [any, any], clips first."),
        ('{"instances": [[[0.5]]]}', "audio has the shape [1, 1, 1]"),
        ('{"instances": [["a"]]}', "numbers alone"),
        ('{"instances": [[null]]}', "numbers alone"),
        ('{"instances": [[true]]}', "numbers alone"),
        ('{"instances": [[1e999, "1"]]}', "not JSON"),
        ('{"instances": [[]]}', "audio has no samples"),
        ('{"instances": [[12000, -3000, 100]]}', "audio holds samples up to 12,000, where full scale is 1; divide"),
        ('{"inputs": [[0, 0], [NaN, -33.5]]}', "holds samples up to 34, where full scale is 1; scale them"),
        ('{"instances": [{"audio": [0]}, {"sound": [0]}]}', "the same names of inputs"),
        ('{"inputs": {"sound": [[0]]}}', "takes audio, and no sound"),
        ('{"inputs": {}}', "takes audio, and the request gives nothing"),
        ('{"instances": [{"b64": "AAAA"}]}', "numbers alone"),
        ('{"signature_name": "frame", "instances": [[0]]}', "no signature frame: name one of serving_default, "),
        ('{"signature_name": 3, "instances": [[0]]}', "no signature 3"),
        (r'{"signature_name": "\ud800", "instances": [[NaN]]}', r"no signature \ud800"),
        (r'{"inputs": {"\ud800": [[NaN]]}}', r"and no \ud800"),
        ('{"signature_name": "wav_bytes", "instances": [[0]]}', "bytes in base64"),
        ('{"signature_name": "wav_bytes", "instances": [{"b64": "?"}]}', "not base64"),
        ('{"signature_name": "wav_bytes", "instances": [{"b64": "AAAA"}]}', "The model refuses the input"),
        ('{"signature_name": "wav_bytes", "inputs": "AAAA"}', "must be a list"),
    ],
)
def test_what_is_wrong_with_a_body_is_said(server, body, message):
    assert message in error_of(ask(server, PREDICT, data=body), status=400)


def test_a_compressed_body_is_refused(server):
    answer = requests.post(server.url + PREDICT, data=b"x", headers={"content-encoding": "gzip"}, timeout=30)
    assert "compressed" in error_of(answer, status=415)
