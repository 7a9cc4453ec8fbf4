import concurrent.futures
import json
import os
import subprocess
import sys
import threading
import zipfile

import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter

import diptych
from components.errors import UserError
from components.exporter import Exporter, ExporterConfig
from components.exporter.runtimes import checks, variants
from diptych import DiptychError, runtimes
from diptych.runtimes import litert
from tests import exports
from tests.components import stored_examples
from tests.components.exporter.runtimes import files

CROP = 0.5
FILES = files.SMALL
LITERT, LITERT_INT8, ONNX, _, ONNX_INT8 = FILES


@pytest.fixture(scope="module")
def model():
    return exports.small_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of the model. Tests must not write to it."""
    return files.small(tmp_path_factory)


def _windows(count=3):
    windows = np.stack([stored_examples.sound(k % 2, seed=10 + k, seconds=CROP) for k in range(count)])
    return (windows / 32768).astype(np.float32)


@pytest.mark.parametrize("variant", FILES, ids=lambda variant: variant.name)
def test_a_file_gives_the_embeddings_of_the_model(model, folder, variant):
    loaded = runtimes.load(folder / variant.file)
    windows = _windows()
    outputs = loaded.windows(windows)
    expected = {name: np.asarray(values) for name, values in model.embed(windows).items()}
    expected["embedding"] = np.concatenate([expected["waveform"], expected["log_mel"]], axis=1)
    least = {"fp32": 1 - 1e-6, "fp16": 0.99999, "int8": 0.99}[variant.precision]
    assert set(outputs) == set(expected)
    for name, values in outputs.items():
        assert values.shape == (3, 1, 32 if name == "embedding" else 16)
        assert checks.cosines(values[:, 0], expected[name]).min() > least
        if variant.precision == "fp32":
            np.testing.assert_allclose(values[:, 0], expected[name], atol=1e-5)
    assert (loaded.info.sample_rate, loaded.info.crop_samples, loaded.info.dim) == (16000, 8000, 32)
    assert loaded.info.signatures == {
        "serving_default": {
            name: f"float32 (1, {outputs[name].shape[-1]})" for name in ("embedding", "waveform", "log_mel")
        }
    }


@pytest.mark.parametrize("variant", FILES, ids=lambda variant: variant.name)
def test_unusual_audio_has_a_defined_answer(folder, variant):
    loaded = runtimes.load(folder / variant.file)
    windows = _windows()
    whole = loaded.windows(windows)["embedding"]
    windows[1, 4000] = np.nan
    spoiled = loaded.windows(windows)["embedding"]
    assert np.isnan(spoiled[1]).all()
    np.testing.assert_array_equal(spoiled[[0, 2]], whole[[0, 2]])
    assert np.isfinite(loaded.windows(np.zeros((1, 8000), np.float32))["embedding"]).all()
    assert loaded.windows(np.zeros((0, 8000), np.float32))["embedding"].shape == (0, 1, 32)
    for shape in ((8000,), (1, 7999), (1, 1, 8000)):
        with pytest.raises(ValueError, match=r"audio must have the shape \(batch, 8000\), not"):
            loaded.windows(np.zeros(shape, np.float32))
    with pytest.raises(DiptychError, match="embeds whole windows only: load the SavedModel"):
        loaded.frames(windows)


@pytest.mark.parametrize("variant", [LITERT_INT8, ONNX_INT8], ids=lambda variant: variant.name)
def test_threads_may_share_a_model(folder, variant):
    loaded = runtimes.load(folder / variant.file)
    windows = _windows(8)
    expected = loaded.windows(windows)["embedding"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for embedded in pool.map(lambda _: loaded.windows(windows)["embedding"], range(8)):
            np.testing.assert_array_equal(embedded, expected)


@pytest.mark.parametrize("cores", [1, 4])
@pytest.mark.parametrize("most_bytes", [0, 2**22], ids=["large", "small"])
@pytest.mark.parametrize("variant", [LITERT, LITERT_INT8], ids=lambda variant: variant.name)
def test_windows_on_several_cores_have_the_embeddings_of_each_alone(folder, monkeypatch, variant, most_bytes, cores):
    interpreter = Interpreter(model_path=str(folder / variant.file))
    alone = interpreter.get_signature_runner("serving_default")
    monkeypatch.setattr(litert, "_SMALL_BYTES", most_bytes)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    windows = _windows(20)
    windows[7, 0] = np.inf
    embedded = runtimes.load(folder / variant.file).windows(windows)
    for row in range(20):
        for name, values in alone(audio=windows[row : row + 1]).items():
            np.testing.assert_array_equal(embedded[name][row], np.full_like(values, np.nan) if row == 7 else values)


def test_a_small_model_has_a_window_on_each_core_at_the_same_time(folder, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    both = threading.Barrier(2, timeout=60)
    opened = litert._open

    class Meeting:
        """An interpreter whose calls wait for one of another interpreter."""

        def __init__(self, interpreter):
            self._interpreter = interpreter

        def get_signature_runner(self, name):
            runner = self._interpreter.get_signature_runner(name)
            return lambda **inputs: both.wait() >= 0 and runner(**inputs)

    monkeypatch.setattr(litert, "_open", lambda *args, **options: Meeting(opened(*args, **options)))
    assert np.isfinite(runtimes.load(folder / LITERT.file).windows(_windows(4))["embedding"]).all()


def test_litert_files_have_a_fixed_input_named_outputs_and_built_in_operations(folder):
    for variant in FILES[:2]:
        interpreter = Interpreter(model_path=str(folder / variant.file))
        runner = interpreter.get_signature_runner("serving_default")
        assert [tuple(details["shape"]) for details in runner.get_input_details().values()] == [(1, 8000)]
        assert list(runner.get_input_details()) == ["audio"]
        assert set(runner.get_output_details()) == {"embedding", "waveform", "log_mel"}
        names = {operation["op_name"] for operation in interpreter._get_ops_details()}
        assert not {name for name in names if name.startswith(("Flex", "CUSTOM"))}
        with zipfile.ZipFile(folder / variant.file) as archive:
            assert json.loads(archive.read("embedding_info.json"))["crop_samples"] == 8000


def test_onnx_files_have_a_fixed_input_named_outputs_and_standard_operations(folder):
    for variant in FILES[2:]:
        model = onnx.load(folder / variant.file)
        onnx.checker.check_model(model, full_check=True)
        assert {opset.domain for opset in model.opset_import} <= {"", "ai.onnx", "ai.onnx.ml"}
        assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
        (audio,) = onnxruntime.InferenceSession(model.SerializeToString()).get_inputs()
        assert (audio.name, audio.shape, audio.type) == ("audio", [1, 8000], "tensor(float)")
        assert {output.name for output in model.graph.output} == {"embedding", "waveform", "log_mel"}


def test_the_weights_of_encoders_are_integers_and_the_front_ends_stay_as_they_are(folder):
    mel = (80, 257)  # The filters, on the left of their product.
    graph = onnx.load(folder / ONNX_INT8.file).graph
    types = {onnx.TensorProto.DataType.Name(constant.data_type): [] for constant in graph.initializer}
    for constant in graph.initializer:
        types[onnx.TensorProto.DataType.Name(constant.data_type)].append(tuple(constant.dims))
    assert mel in types["FLOAT16"]
    assert sum(np.prod(shape) for shape in types["INT8"]) > 0.8 * sum(
        np.prod(shape) for shapes in types.values() for shape in shapes if shape not in (mel, (257, 160))
    )
    interpreter = Interpreter(model_path=str(folder / LITERT_INT8.file))
    tensors = [(details["dtype"], tuple(details["shape"])) for details in interpreter.get_tensor_details()]
    assert (np.float32, mel) in tensors
    assert sum(kind == np.int8 for kind, _ in tensors) >= 6


@pytest.mark.parametrize("variant", [LITERT, ONNX], ids=lambda variant: variant.name)
def test_files_are_read_without_tensorflow(folder, variant, tmp_path):
    np.save(tmp_path / "windows.npy", _windows())
    program = """
import sys
for name in ("tensorflow", "keras", "apache_beam"):
    sys.modules[name] = None  # An import fails.
import numpy as np
import diptych
from diptych import runtimes
loaded = runtimes.load(sys.argv[1])
np.save(sys.argv[3], loaded.windows(np.load(sys.argv[2]))["embedding"])
open("saved_model.pb", "w").close()
try:
    diptych.load(".")
except diptych.DiptychError as error:
    print(error)
"""
    paths = [str(folder / variant.file), str(tmp_path / "windows.npy"), str(tmp_path / "embedding.npy")]
    path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", program, *paths],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.stdout == ". needs the package tensorflow: install it.\n"
    expected = runtimes.load(folder / variant.file).windows(_windows())["embedding"]
    np.testing.assert_array_equal(np.load(paths[2]), expected)


def test_a_file_that_is_cut_short_is_named(folder, tmp_path):
    for variant in (LITERT, ONNX):
        content = (folder / variant.file).read_bytes()
        file = tmp_path / os.path.basename(variant.file)
        for length in (0, 7, 100, len(content) // 2, len(content) - 10):
            file.write_bytes(content[:length])
            with pytest.raises(DiptychError, match=rf"{file.name} (does not end with|cannot be loaded).*copy it again"):
                runtimes.load(file)


def test_files_of_others_are_refused(tmp_path):
    node = onnx.helper.make_node("Identity", ["audio"], ["embedding"])
    ends = [onnx.helper.make_tensor_value_info(name, 1, [1, 8]) for name in ("audio", "embedding")]
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:])
    foreign = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(DiptychError, match="foreign.onnx has no embedding_info among its metadata, so Diptych did not"):
        runtimes.load(tmp_path / "foreign.onnx")
    (tmp_path / "foreign.tflite").write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(100))
    with pytest.raises(DiptychError, match="foreign.tflite does not end with embedding_info.json: it was cut"):
        runtimes.load(tmp_path / "foreign.tflite")
    for name in ("nowhere.tflite", "nowhere.ONNX"):
        with pytest.raises(diptych.MissingError, match=f"There is no model .*{name}: "):
            runtimes.load(tmp_path / name)


def test_tensorflow_serves_where_litert_is_not_installed(folder, monkeypatch):
    expected = runtimes.load(folder / LITERT_INT8.file).windows(_windows())["embedding"]
    for name in ("ai_edge_litert.interpreter", "tflite_runtime.interpreter"):
        monkeypatch.setitem(sys.modules, name, None)
    embedded = runtimes.load(folder / LITERT_INT8.file).windows(_windows())["embedding"]
    np.testing.assert_allclose(embedded, expected, atol=1e-2 * np.abs(expected).max())


def test_a_runtime_that_is_not_installed_is_named(folder, monkeypatch):
    for name in (*litert._MODULES, "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DiptychError, match="litert_fp32.tflite needs LiteRT: run `.* -m pip install ai-edge-litert`"):
        runtimes.load(folder / LITERT.file)
    with pytest.raises(DiptychError, match="onnx_fp32.onnx needs ONNX Runtime: run `.* -m pip install onnxruntime`"):
        runtimes.load(folder / ONNX.file)
    monkeypatch.setattr(variants.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"onnx_int8 needs onnx, onnxruntime, tf2onnx: run `.*pip install onnx onnxrun"):
        Exporter(ExporterConfig(formats=("onnx_int8",))).check()


def test_formats_are_runtimes_or_single_files():
    assert [variant.name for variant in variants.parse(("onnx_fp16", "litert_int8", "onnx_fp16"))] == [
        "litert_int8",
        "onnx_fp16",
    ]
    assert [variant.file for variant in variants.parse(("onnx", "onnx_int8"))] == [
        "runtimes/onnx_fp32.onnx",
        "runtimes/onnx_fp16.onnx",
        "runtimes/onnx_int8.onnx",
    ]
    assert variants.parse(()) == []
