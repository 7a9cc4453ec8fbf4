"""Executes a `.tflite` or `.onnx` file once, as a program without TensorFlow and without Diptych's code does.

The InfraValidator runs this file as a script in a fresh process. It imports NumPy and the file's runtime only:

    python run_once.py MODEL WINDOWS.npy RESULTS.npz

WINDOWS.npy holds int16 (windows, samples). RESULTS.npz gets these arrays:

    outputs/NAME   each output for all windows, (windows, dim)
    silence/NAME   each output for silence, (1, dim)
    again          `embedding` of the first window, embedded once more after all others
    ms             median processor time of a window, in milliseconds; there is one thread

If the model fails, the last line of stdout says how, and the exit status is `MODEL_FAILED`. If memory ends, the exit
status is `OUT_OF_MEMORY`.
"""

import sys
import time
from collections.abc import Callable, Mapping

import numpy as np

MODEL_FAILED, OUT_OF_MEMORY = 3, 4
_FULL_SCALE = 32768

Call = Callable[[np.ndarray], Mapping[str, np.ndarray]]


def main(model: str, windows_file: str, results_file: str) -> None:
    """Loads the model, embeds all windows and writes the results."""
    try:
        windows = np.load(windows_file, mmap_mode="r")
        call = _open_litert(model) if model.endswith(".tflite") else _open_onnx(model)
        results = _results(call, windows)
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)
    except Exception as error:  # Whatever a model does wrong.
        print(f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}")
        sys.exit(MODEL_FAILED)
    np.savez(results_file, **results)


def _open_litert(model: str) -> Call:
    # Imported here, as below, because each kind of file needs its own runtime alone.
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner("serving_default")
    return lambda audio: runner(audio=audio)


def _open_onnx(model: str) -> Call:
    import onnxruntime  # See above.

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda audio: dict(zip(names, session.run(names, {"audio": audio}), strict=True))


def _results(call: Call, windows: np.ndarray) -> dict[str, np.ndarray]:
    def embed(window: np.ndarray) -> Mapping[str, np.ndarray]:
        return call(window[None].astype(np.float32) / _FULL_SCALE)

    silence = embed(np.zeros_like(windows[0]))  # The first call is slower than the others.
    rows, seconds = [], []
    for window in windows:
        start = time.process_time()
        rows.append(embed(window))
        seconds.append(time.process_time() - start)
    return {
        **{f"outputs/{name}": np.concatenate([row[name] for row in rows]) for name in silence},
        **{f"silence/{name}": values for name, values in silence.items()},
        "again": embed(windows[0])["embedding"],
        "ms": 1000 * np.median(seconds),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
