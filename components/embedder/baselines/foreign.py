"""Embeds with a model that Diptych does not know, as long as it maps waveforms to vectors."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from etils import epath

from beam_jobs import error_text
from beam_jobs.embedding.embedder import Embedder, Framing
from components import embedding_info
from components.embedder.baselines import calls, onnx, saved_model, tflite
from components.embedder.baselines.function_embedder import FunctionEmbedder, at_sample_rate, faint_noise
from components.embedder.baselines.spec import Form, Spec
from components.embedder.networks import ServedModel
from components.errors import UserError
from models import subclip_starts

_DEFAULT_SAMPLE_RATE = 16000


def load_tflite(spec: Spec, *, compared: Framing) -> FunctionEmbedder:
    """Returns an embedder with a TFLite model. For arguments and errors see `load_saved_model`.

    A file that Diptych wrote tells its sample rate itself.
    """
    content = epath.Path(spec.path).read_bytes()
    own = embedding_info.in_tflite(content, source=spec.path)
    sample_rate = spec.sample_rate or (own and own.sample_rate)
    interpreter = tflite.open_model(content, source=spec.path)
    return _embedder(tflite.calls_of(interpreter), spec, sample_rate=sample_rate, compared=compared)


def load_onnx(spec: Spec, *, compared: Framing) -> FunctionEmbedder:
    """Returns an embedder with an ONNX model. For arguments and errors see `load_saved_model`."""
    session = onnx.open_model(epath.Path(spec.path).read_bytes(), source=spec.path)
    sample_rate = spec.sample_rate or onnx.sample_rate(session, source=spec.path)
    return _embedder(onnx.calls_of(session), spec, sample_rate=sample_rate, compared=compared)


def load_saved_model(spec: Spec, *, compared: Framing) -> Embedder:
    """Returns an embedder with a SavedModel.

    An input of fixed length decides the windows. Otherwise they last as long as those of the compared model, and at
    least a second.

    Args:
        spec: What the user gives: the choice is the output that is the embedding.
        compared: The windows of the compared model.

    Raises:
        UserError: It cannot be loaded, does not map waveforms to vectors, or has several outputs that may be meant.
    """
    if embedding_info.is_in(spec.path):
        if spec.left_side != spec.name:
            raise UserError(f"{spec.path} tells its outputs and its sample rate itself: give {spec.name}={spec.path}.")
        with saved_model.errors_as_user_errors(spec.path):
            return ServedModel(spec.path)
    model = saved_model.load(spec.path)
    sample_rate = spec.sample_rate or saved_model.sample_rate(model)
    return _embedder(saved_model.calls_of(model), spec, sample_rate=sample_rate, compared=compared)


LOAD: Mapping[Form, Callable[..., Embedder]] = {
    "saved_model": load_saved_model,
    "tflite": load_tflite,
    "onnx": load_onnx,
}
"""Each is called with a spec and `compared`."""


def _embedder(
    ways: Iterable[calls.Call], spec: Spec, *, sample_rate: int | None, compared: Framing
) -> FunctionEmbedder:
    """Returns an embedder with the first way to call the model that has one output to take."""
    found: dict[str, np.ndarray] = {}
    failures: list[str] = []
    for call in ways:
        framing = _framing(call, sample_rate=sample_rate or _DEFAULT_SAMPLE_RATE, compared=compared)
        faint = faint_noise(framing)
        try:
            outputs = call.run(faint if call.takes_batches else faint[0])
        except Exception as error:  # A model may fail with an error of any type.
            failures.append(f"{call.title}: {error_text.first_line(error)}")
            continue
        output = call.choose(outputs, wanted=spec.choice)
        if output is None:
            found = {**outputs, **found}
            continue
        if sample_rate is None and call.is_perch(output):
            framing = dataclasses.replace(framing, sample_rate=calls.PERCH_SAMPLE_RATE)
        embed = calls.vectors_of(call, output, faint=faint)
        return FunctionEmbedder(embed, framing=framing, source=spec.path)
    raise _unclear(spec, found, failures)


def _framing(call: calls.Call, *, sample_rate: int, compared: Framing) -> Framing:
    window = call.shape[-1]
    if window is None:
        framing = at_sample_rate(compared, sample_rate)
        # VGGish and others have no vector for less than a second.
        return dataclasses.replace(framing, window_samples=max(framing.window_samples, sample_rate))
    return Framing(sample_rate=sample_rate, window_samples=window, hop_samples=subclip_starts.half_crop(window))


def _unclear(spec: Spec, found: Mapping[str, np.ndarray], failures: Sequence[str]) -> UserError:
    """Returns the error of a model of which no output can be taken."""
    if found:
        listed = ", ".join(f"{name} {list(values.shape)}" for name, values in found.items())
        what = "several outputs" if spec.choice is None else f"no output {spec.choice!r} with a vector for each window"
        way_out = f"choose one with {spec.name}:OUTPUT={spec.path}"
        return UserError(f"{spec.path} has {what}; the shapes for one window are {listed}: {way_out}.")
    if failures:
        return UserError(f"{spec.path} fails on sound ({'; '.join(failures)}): name another model.")
    return UserError(
        f"{spec.path} has no signature or method whose only input is a float32 waveform, [samples] or [windows, "
        "samples]: name another model, or export it with one."
    )
