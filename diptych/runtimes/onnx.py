"""`.onnx` files that the Exporter wrote, run by ONNX Runtime. They need no TensorFlow."""

import types
from collections.abc import Mapping

import numpy as np

from beam_jobs import command_lines
from components import load_errors
from components.embedding_info import NAME_IN_FILES, EmbeddingInfo
from diptych.errors import DiptychError
from diptych.runtimes import fixed_window
from diptych.runtimes.fixed_window import FixedWindowModel


def load(path: str) -> FixedWindowModel:
    """Loads a file.

    Raises:
        UserError: The file cannot be read, another program wrote it, it is damaged, or ONNX Runtime is not installed.
    """
    onnxruntime = _module(path)
    content = fixed_window.read(path)
    with load_errors.as_user_errors(f"{path} cannot be loaded", way_out="copy it again, or export it again"):
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    entries = session.get_modelmeta().custom_metadata_map
    if NAME_IN_FILES not in entries:
        raise DiptychError(
            f"{path} has no {NAME_IN_FILES} among its metadata, so Diptych did not write it: give an .onnx file that "
            "`exporter.formats` made."
        )
    info = EmbeddingInfo.from_json(entries[NAME_IN_FILES], source=path)
    names = [output.name for output in session.get_outputs()]

    def embed(window: np.ndarray) -> Mapping[str, np.ndarray]:
        return dict(zip(names, session.run(names, {"audio": window}), strict=True))

    return FixedWindowModel(info, embed, source=path)


def library(path: str) -> str:
    """Returns name and version of what runs a file here, e.g. "onnxruntime 1.20.1".

    Raises:
        DiptychError: It is not installed.
    """
    return f"onnxruntime {_module(path).__version__}"


def _module(path: str) -> types.ModuleType:
    try:
        # Imported here because it is optional, and this says what to install.
        import onnxruntime
    except ImportError as error:
        raise DiptychError(f"{path} needs ONNX Runtime: run `{command_lines.pip_install('onnxruntime')}`.") from error
    return onnxruntime
