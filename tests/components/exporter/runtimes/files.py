"""Converts a model without the Exporter around it."""

from components.embedding_info import EmbeddingInfo
from components.exporter.runtimes import exporting, to_litert, to_onnx
from models import subclip_starts

CONVERTERS = {"litert": to_litert, "onnx": to_onnx}


def convert(model, runtime, precisions):
    """Returns the contents of the files of a runtime, in the order of the precisions."""
    info = EmbeddingInfo(
        formats=tuple(model.formats),
        dims=dict(model.dims),
        dim=sum(model.dims.values()),
        sample_rate=model.sample_rate,
        crop_samples=model.crop_samples,
        stride_samples=subclip_starts.half_crop(model.crop_samples),
        input="",
        signatures={},
    )
    return list(CONVERTERS[runtime].convert(model, precisions=precisions, info=exporting.describe(info)))
