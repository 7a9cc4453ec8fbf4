"""Says what a SavedModel holds, in an `EmbeddingInfo`."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from components.embedding_info import VERSION, EmbeddingInfo
from components.exporter import endpoints
from models import subclip_starts
from models.dual import DualEncoder


def describe(
    model: DualEncoder, *, training: Mapping[str, object] | None = None, golden_sha256: str | None = None
) -> EmbeddingInfo:
    """Returns the info of a model's SavedModel.

    Args:
        model: The model.
        training: The record of its training, `training.json`; None if there is none.
        golden_sha256: Digest of the golden vectors; None if there are none.
    """
    dims = dict(model.dims)
    total = sum(dims.values())
    training = _without_paths(training or {})
    validation = training.pop("validation", None)
    return EmbeddingInfo(
        formats=tuple(model.formats),
        dims=dims,
        dim=total,
        sample_rate=model.sample_rate,
        crop_samples=model.crop_samples,
        stride_samples=subclip_starts.half_crop(model.crop_samples),
        input="audio float32 (batch, samples) in [-1, 1]",
        signatures=_signatures({"embedding": total, **dims}),
        version=VERSION,
        frame_hop_samples=endpoints.frame_hop(model.sample_rate),
        made_by={"keras": keras.__version__, "tensorflow": tf.__version__},
        model=model.get_config(),
        training=training,
        scores={} if validation is None else _scores(**validation),
        golden_sha256=golden_sha256,
    )


def _without_paths(training: Mapping[str, object]) -> dict[str, object]:
    """Returns the record of a training without the place of the model that it began with: its digest identifies it."""
    record = dict(training)
    for name, places in (("initial_model", {"path"}), ("config", {"initial_model"})):
        if name in record:
            record[name] = {key: value for key, value in record[name].items() if key not in places}
    return record


def _scores(*, metric: str, score: float) -> dict[str, float]:
    """Returns what the Trainer's score stands for: it negates the loss, so that a higher score is a better one."""
    return {metric: -score if metric == "loss" else score}


def _signatures(dims: Mapping[str, int]) -> dict[str, dict[str, str]]:
    by_clip = {name: f"float32 (batch, {dim})" for name, dim in dims.items()}
    by_window = {name: f"float32 (batch, windows, {dim})" for name, dim in dims.items()}
    frames = {"embedding": f"float32 (batch, frames, {dims['embedding']})"}
    return {
        "serving_default": by_clip,
        "windows": {**by_window, "start_s": "float32 (batch, windows)", "end_s": "float32 (batch, windows)"},
        "frames": {**frames, "timestamps": "float32 (batch, frames)"},
        "wav_bytes": by_clip,
        "inputs": {"embedding": by_clip["embedding"]},
    }
