"""Writes the files for other runtimes into the SavedModel's folder, checks each, and writes the parity table."""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf
from etils import epath

from beam_jobs import error_text, storage
from beam_jobs.audio import pcm
from beam_jobs.embedding.embedder import BATCH_SIZE
from components.embedding_info import EmbeddingInfo
from components.errors import UserError
from components.exporter.config import ExporterConfig
from components.exporter.infra_validator import Check
from components.exporter.runtimes import checks, parity, sample, variants
from components.exporter.runtimes.variants import Variant
from models.dual import DualEncoder

_REPEATS = 20


class _Converter(Protocol):
    """Either of the modules `to_litert` and `to_onnx`."""

    def convert(self, model: DualEncoder, *, precisions: Sequence[str], info: EmbeddingInfo) -> Iterator[bytes]: ...


def export(
    model: DualEncoder,
    saved_model: epath.Path,
    *,
    info: EmbeddingInfo,
    config: ExporterConfig,
    examples: epath.Path,
    finish_part: Callable[[], None],
) -> dict[str, Check]:
    """Converts the model, and checks and compares the files.

    Args:
        model: The model.
        saved_model: Folder of the SavedModel, which the files are compared with.
        info: The SavedModel's.
        config: Says which files to write.
        examples: Where the windows are drawn from that the files are compared with.
        finish_part: Is called after each file.

    Returns:
        Name of a file -> the InfraValidator's check.

    Raises:
        UserError: The model cannot be converted, or a check could not be made.
    """
    drawn = sample.draw(examples, count=config.parity_clips, samples=model.crop_samples)
    expected, ms = _embed(saved_model, drawn.windows)
    reference = expected["embedding"]
    size = sum(storage.file_sizes(saved_model).values())
    rows = [parity.row("saved_model", reference, reference=reference, sample=drawn, size_bytes=size, ms=ms)]
    tolerance = config.tolerance if model.dtype_policy.compute_dtype == "float32" else None
    verdicts = {}
    (saved_model / variants.FOLDER).mkdir()
    for variant, content in _convert(model, variants.parse(config.formats), info=describe(info)):
        file = saved_model / variant.file
        file.write_bytes(content)
        measured = checks.check(variant, file, windows=drawn.windows, expected=expected, tolerance=tolerance)
        verdicts[variant.name] = measured.check
        if measured.embedding is not None:
            rows.append(
                parity.row(
                    variant.name,
                    measured.embedding,
                    reference=reference,
                    sample=drawn,
                    size_bytes=len(content),
                    ms=measured.ms,
                )
            )
        finish_part()
    parity.write(rows, saved_model, sample=drawn)
    return verdicts


def _convert(model: DualEncoder, files: Iterable[Variant], *, info: EmbeddingInfo) -> Iterator[tuple[Variant, bytes]]:
    for runtime, group in itertools.groupby(files, lambda variant: variant.runtime):
        converter = _converter(runtime)
        variants_of_runtime = list(group)
        precisions = [variant.precision for variant in variants_of_runtime]
        try:
            yield from zip(variants_of_runtime, converter.convert(model, precisions=precisions, info=info), strict=True)
        except Exception as error:  # The converters raise errors of many types for what they do not know.
            raise UserError(
                f"exporter.formats: the model cannot be converted for {runtime} ({error_text.first_line(error)}): "
                "leave it out."
            ) from error


def _converter(runtime: str) -> _Converter:
    if runtime == "litert":
        # Imported here, as below, because each needs packages of its own.
        from components.exporter.runtimes import to_litert

        return to_litert
    from components.exporter.runtimes import to_onnx  # See above.

    return to_onnx


def describe(info: EmbeddingInfo) -> EmbeddingInfo:
    """Returns the info of a file: there is one signature, with one window."""
    dims = {"embedding": info.dim, **info.dims}
    return dataclasses.replace(
        info,
        input=f"audio float32 (1, {info.crop_samples}) in [-1, 1]",
        signatures={"serving_default": {name: f"float32 (1, {dim})" for name, dim in dims.items()}},
    )


def _embed(saved_model: epath.Path, windows: np.ndarray) -> tuple[dict[str, np.ndarray], float]:
    """Embeds windows with the SavedModel, on the CPU as the other runtimes.

    Returns:
        Name of an embedding -> (windows, dim), and the median processor time of a window alone, in milliseconds.
    """
    with storage.without_wildcards(saved_model) as readable:
        embed = tf.saved_model.load(readable).signatures["serving_default"]
    with tf.device("CPU:0"):
        batches = [
            embed(audio=tf.constant(pcm.to_float(windows[start : start + BATCH_SIZE])))
            for start in range(0, len(windows), BATCH_SIZE)
        ]
        seconds = []
        for index in range(_REPEATS):
            window = tf.constant(pcm.to_float(windows[index % len(windows)][None]))
            start = time.process_time()
            embed(audio=window)["embedding"].numpy()
            seconds.append(time.process_time() - start)
    expected = {name: np.concatenate([batch[name].numpy() for batch in batches]) for name in batches[0]}
    return expected, 1000 * float(np.median(seconds))
