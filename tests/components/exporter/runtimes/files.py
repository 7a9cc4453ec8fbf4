"""Converts a model without the Exporter around it."""

import itertools

from components.embedding_info import EmbeddingInfo
from components.exporter.runtimes import exporting, to_litert, to_onnx, variants
from models import subclip_starts
from tests import exports, shared

CONVERTERS = {"litert": to_litert, "onnx": to_onnx}

# Converting for LiteRT takes seconds for each precision; test_exporting.py tries the others.
SMALL = variants.parse(("litert_fp32", "litert_int8", "onnx"))


def small(tmp_path_factory):
    """Returns a folder with the files `SMALL` of `exports.small_model`, made once for all processes of a test run."""
    return shared.once(tmp_path_factory, "converted", _convert_small)


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


def _convert_small(folder):
    model = exports.small_model()
    (folder / variants.FOLDER).mkdir()
    for runtime, group in itertools.groupby(SMALL, lambda variant: variant.runtime):
        of_runtime = list(group)
        contents = convert(model, runtime, [variant.precision for variant in of_runtime])
        for variant, content in zip(of_runtime, contents, strict=True):
            (folder / variant.file).write_bytes(content)
    return folder
