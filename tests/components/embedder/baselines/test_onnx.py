import dataclasses
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from beam_jobs.embedding.embedder import Framing
from components.embedder import baselines, evaluated
from components.embedding_info import NAME_IN_FILES
from components.errors import UserError
from tests.components import embedding_infos
from tests.components.embedder.baselines import checks
from tests.reference import relative_error

COMPARED = Framing(sample_rate=8000, window_samples=16000, hop_samples=6000)
WEIGHTS = np.random.default_rng(0).normal(size=(8000, 5)).astype(np.float32)


def write(file, shape, *, kind=TensorProto.FLOAT, info=None, outputs=("embedding",)):
    """Writes a model that multiplies windows of 8,000 samples with a matrix."""
    weights = helper.make_tensor("weights", kind, WEIGHTS.shape, WEIGHTS.ravel().astype(np.float32))
    nodes = [helper.make_node("MatMul", ["sound", "weights"], [name]) for name in outputs]
    ends = [helper.make_tensor_value_info(name, kind, [*shape[:-1], 5]) for name in outputs]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("sound", kind, shape)], ends, [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if info is not None:
        helper.set_model_props(model, {NAME_IN_FILES: info.to_json()})
    onnx.save(model, file)
    return file


def load(spec):
    return baselines.parse(spec, framing=COMPARED).load()


@pytest.mark.parametrize("shape", [[1, 8000], ["batch", 8000], [None, 8000], [8000]], ids=str)
def test_a_model_from_a_waveform_to_a_vector_will_do(tmp_path, shape):
    embedder = load(f"mine={write(tmp_path / 'm.ONNX', shape)}")
    assert embedder.framing == Framing(sample_rate=16000, window_samples=8000, hop_samples=4000)
    windows, vectors = checks.check(embedder, dims={"embedding": 5})
    assert relative_error(vectors["embedding"], windows @ WEIGHTS) < 1e-4


def test_a_file_of_diptych_tells_its_sample_rate(tmp_path):
    file = write(tmp_path / "m.onnx", [1, 8000], info=embedding_infos.LOG_MEL)
    assert load(f"mine={file}").framing.sample_rate == 8000
    assert load(f"mine@44100={file}").framing.sample_rate == 44100
    assert evaluated.framing(evaluated.loader(str(file))) == embedding_infos.LOG_MEL.framing
    other = write(tmp_path / "n.onnx", [1, 8000], info=dataclasses.replace(embedding_infos.LOG_MEL, sample_rate=11025))
    assert evaluated.framing(evaluated.loader(str(other))).sample_rate == 11025


def test_one_of_several_outputs_is_named(tmp_path):
    file = write(tmp_path / "m.onnx", [1, 8000], outputs=("a", "b"))
    with pytest.raises(UserError) as error:
        load(f"mine={file}")
    shapes = "the shapes for one window are a [1, 5], b [1, 5]"
    assert str(error.value) == f"{file} has several outputs; {shapes}: choose one with mine:OUTPUT={file}."
    assert load(f"mine:b={file}").dims == {"embedding": 5}


def test_what_takes_no_waveform_is_refused(tmp_path):
    for number, (shape, kind) in enumerate((([1, 1, 8000], TensorProto.FLOAT), ([1, 8000], TensorProto.DOUBLE))):
        file = write(tmp_path / f"{number}.onnx", shape, kind=kind)
        with pytest.raises(UserError, match=f"{number}.onnx has no signature or method whose only input is a float32"):
            load(f"mine={file}")


def test_a_damaged_file_is_one_sentence(tmp_path):
    content = write(tmp_path / "m.onnx", [1, 8000]).read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"text"):
        (tmp_path / "m.onnx").write_bytes(damaged)
        with pytest.raises(UserError, match="m.onnx cannot be loaded as an ONNX model .*: copy or convert it") as error:
            load(f"mine={tmp_path / 'm.onnx'}")
        assert "\n" not in str(error.value)


def test_the_runtime_that_is_missing_is_named(tmp_path, monkeypatch):
    file = write(tmp_path / "m.onnx", [1, 8000])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="m.onnx needs ONNX Runtime: run `.* -m pip install onnxruntime`, or leave"):
        load(f"mine={file}")
