"""Reads ONNX models of any origin."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from beam_jobs import command_lines, error_text
from components.embedder.baselines import calls
from components.embedding_info import NAME_IN_FILES, EmbeddingInfo
from components.errors import UserError

if TYPE_CHECKING:
    import onnxruntime


def open_model(content: bytes, *, source: str) -> "onnxruntime.InferenceSession":
    """Returns a session of a model.

    Raises:
        UserError: The model is damaged, or ONNX Runtime is not installed.
    """
    try:
        # Imported here because it is optional, and this says what to install.
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"{source} needs ONNX Runtime: run `{command_lines.pip_install('onnxruntime')}`, or leave it out."
        ) from error
    try:
        return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises errors of several types.
        raise UserError(
            f"{source} cannot be loaded as an ONNX model ({error_text.first_line(error)}): copy or convert it again."
        ) from error


def sample_rate(session: "onnxruntime.InferenceSession", *, source: str) -> int | None:
    """Returns the sample rate that a file of Diptych's tells, or None if it is another program's."""
    entries = session.get_modelmeta().custom_metadata_map
    if NAME_IN_FILES not in entries:
        return None
    return EmbeddingInfo.from_json(entries[NAME_IN_FILES], source=source).sample_rate


def calls_of(session: "onnxruntime.InferenceSession") -> Iterator[calls.Call]:
    """Yields the way to call a model, if a waveform is its only input."""
    names = [output.name for output in session.get_outputs()]
    inputs = session.get_inputs()
    if len(inputs) == 1 and inputs[0].type == "tensor(float)" and len(inputs[0].shape) in (1, 2):
        yield calls.Call(
            title="the model itself",
            input=inputs[0].name,
            # Sizes that may vary have a name or none.
            shape=tuple(size if isinstance(size, int) else None for size in inputs[0].shape),
            run=lambda audio: dict(zip(names, session.run(names, {inputs[0].name: audio}), strict=True)),
        )
