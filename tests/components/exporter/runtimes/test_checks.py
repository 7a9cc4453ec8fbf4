import os
import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics.pairwise import cosine_similarity

from components.errors import UserError
from components.exporter.runtimes import checks, parity, run_once, sample
from components.exporter.runtimes.variants import Variant
from tests.components import stored_examples

WINDOWS = np.ones((3, 4), np.int16)
EXPECTED = {"embedding": np.array([[1.0, 2.0], [2.0, -1.0], [3.0, 1.0]], np.float32)}


def _check(tmp_path, monkeypatch, program, *, precision="fp32", tolerance=1e-4):
    """Checks a file whose process is a program of the test's."""
    script = tmp_path / "child.py"
    script.write_text("import os, signal, sys\nimport numpy as np\n" + program)
    monkeypatch.setattr(checks, "_SCRIPT", script)
    (tmp_path / "model.onnx").write_bytes(b"")
    variant = Variant(runtime="onnx", precision=precision)
    return checks.check(variant, tmp_path / "model.onnx", windows=WINDOWS, expected=EXPECTED, tolerance=tolerance)


def _results(embedding, *, silence="e[:1]", again="e[:1]"):
    return (
        f"e = np.array({embedding}, np.float32)\n"
        f"results = {{'outputs/embedding': e, 'silence/embedding': {silence}, 'again': {again}, 'ms': 2.0}}\n"
        "np.savez(sys.argv[-1], **results)"
    )


GOOD = "[[1, 2], [2, -1], [3, 1]]"


@pytest.mark.parametrize(
    ("precision", "program", "detail"),
    [
        ("fp32", _results(GOOD), "largest difference 0.0e+00 of the largest value"),
        ("fp16", _results("[[1, 2.001], [2, -1], [3, 1]]"), "mean cosine 1.0000, at least 0.999"),
    ],
)
def test_a_file_that_is_right_passes(tmp_path, monkeypatch, precision, program, detail):
    measured = _check(tmp_path, monkeypatch, program, precision=precision)
    assert measured.check.passed
    assert (measured.check.detail, measured.ms) == (detail, 2.0)


@pytest.mark.parametrize(
    ("precision", "program", "detail"),
    [
        ("fp32", _results("[[1, 2], [2, -1], [3, 1.01]]"), "largest difference 3.3e-03 of the largest value"),
        ("fp16", _results("[[2, 1], [2, -1], [3, 1]]"), "below 0.999: leave onnx_fp16 out of exporter.formats"),
        ("int8", _results("[[2, 1], [-1, 2], [3, 1]]"), "mean cosine 0.3333, below 0.95: leave onnx_int8 out"),
        ("int8", _results("[[1, 2], [np.nan, -1], [3, 1]]"), "not finite"),
        ("int8", _results(GOOD, silence="e[:1] / 0"), "not finite"),
        ("int8", _results(GOOD, again="e[:1] * 1.0001"), "has another embedding when it is embedded again"),
        ("fp32", _results("[[1, 2]]"), "has the outputs {'embedding': (1, 2)}, not {'embedding': (3, 2)}"),
        ("fp32", f"print('RuntimeError: bad node')\nsys.exit({run_once.MODEL_FAILED})", "it fails: RuntimeError: bad"),
    ],
)
def test_a_file_that_is_wrong_fails_with_the_reason(tmp_path, monkeypatch, precision, program, detail):
    check = _check(tmp_path, monkeypatch, program, precision=precision).check
    assert not check.passed
    assert detail in check.detail


def test_a_saved_model_of_fewer_bits_is_compared_by_the_cosine(tmp_path, monkeypatch):
    program = _results("[[1, 2], [2, -1], [3, 1.01]]")
    check = _check(tmp_path, monkeypatch, program, tolerance=None).check
    assert (check.passed, check.detail) == (True, "mean cosine 1.0000, at least 0.999")


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            "onnx_fp32 was ended by SIGKILL, most likely because memory was short",
        ),
        (f"sys.exit({run_once.OUT_OF_MEMORY})", "onnx_fp32 ran out of memory: free memory, or lower exporter.parity"),
        ("raise OSError('no disk')", r"onnx_fp32 could not do its work \(OSError: no disk\): free memory"),
    ],
)
def test_a_process_that_ends_otherwise_is_no_verdict(tmp_path, monkeypatch, program, message):
    with pytest.raises(UserError, match=message):
        _check(tmp_path, monkeypatch, program)


def test_a_process_without_an_answer_is_no_verdict(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "_TIMEOUT_SECONDS", 0.3)
    with pytest.raises(UserError, match=r"gave no answer within 0.3 seconds: run the same command again"):
        _check(tmp_path, monkeypatch, "import time; time.sleep(60)")


def test_a_damaged_file_fails_in_the_real_process(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"nonsense")
    variant = Variant(runtime="onnx", precision="fp32")
    check = checks.check(variant, tmp_path / "model.onnx", windows=WINDOWS, expected=EXPECTED, tolerance=1e-4).check
    assert not check.passed
    assert check.detail.startswith("it fails: ")


def test_the_script_imports_no_code_of_ours():
    text = pathlib.Path(run_once.__file__).read_text()
    assert not any(f"import {name}" in text for name in ("tensorflow", "components", "beam_jobs", "models"))
    assert not {"onnx.py", "onnxruntime.py", "numpy.py"} & set(os.listdir(os.path.dirname(run_once.__file__)))


@given(arrays.arrays(np.float32, (4, 3), elements=st.floats(-1e3, 1e3, width=16)))
def test_cosines_equal_those_of_scikit_learn(values):
    other = np.ones((4, 3), np.float32)
    nonzero = values.any(axis=1)
    expected = cosine_similarity(values.astype(float), other.astype(float))[:, 0]
    np.testing.assert_allclose(checks.cosines(values, other)[nonzero], expected[nonzero], atol=1e-9)
    np.testing.assert_allclose(checks.cosines(values, values), 1.0)


def test_the_probe_says_what_a_worse_embedding_loses():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    good = np.eye(3, dtype=np.float32)[labels] + rng.normal(scale=0.05, size=(60, 3)).astype(np.float32)
    drawn = sample.Sample(windows=np.zeros((60, 4), np.int16), targets=np.eye(3, dtype=bool)[labels])
    bad = rng.normal(size=(60, 3)).astype(np.float32)
    row = parity.row("onnx_int8", bad, reference=good, sample=drawn, size_bytes=2_000_000, ms=1.5)
    assert row.probe_points_lost > 30
    same = parity.row("onnx_fp32", good, reference=good, sample=drawn, size_bytes=1, ms=1.5)
    assert (same.probe_points_lost, same.mean_cosine) == (0.0, pytest.approx(1.0))
    unlabeled = sample.Sample(windows=drawn.windows, targets=np.zeros((60, 0), bool))
    row = parity.row("onnx_int8", bad, reference=good, sample=unlabeled, size_bytes=1, ms=1.5)
    assert row.probe_points_lost is None
    assert "| no labels |" in parity.to_markdown([row])


def test_windows_are_drawn_from_all_splits(tmp_path):
    clips = [(np.full(seconds * 16000, k, np.int16), (0,), 0) for k, seconds in enumerate([1, 1, 1, 1, 3, 1])]
    examples = stored_examples.write_examples(
        tmp_path / "examples", {"train": clips[:4], "eval": clips[4:]}, label_names=("a", "b")
    )
    drawn = sample.draw(examples, count=3, samples=20000)
    assert drawn.windows.shape == (3, 20000)
    assert len({int(window[0]) for window in drawn.windows}) == 3
    assert sum(window[0] >= 4 for window in drawn.windows) == 1
    np.testing.assert_array_equal(drawn.targets, [[True, False]] * 3)
    assert sample.draw(examples, count=100, samples=10).windows.shape == (6, 10)
