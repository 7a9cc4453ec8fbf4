"""Embeds audio files with an exported SavedModel."""

import contextlib
import errno
import math
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from etils import epath

from beam_jobs import audio, error_text, sources, storage
from beam_jobs.audio import pcm
from beam_jobs.audio.decoder import Decoder
from beam_jobs.audio.spool import Spool
from beam_jobs.sources import given
from components import file_errors
from components.embedding_info import EmbeddingInfo
from components.errors import DamagedFile, UserError
from pipeline import checksums

# As in `components.exporter.endpoints`, which would import TensorFlow.
_SUBCLIPS_AT_A_TIME = 32
_RULES = audio.Rules(timeout_s=60.0)
# Decoding takes 0.1 GiB for files of any length, and more for a few rare ones.
_DECODER_BYTES = 4 * 2**30


class EmbeddedFiles(NamedTuple):
    """The result of `embed_files`.

    Attributes:
        count: Number of files that were embedded.
        quarantined: Path of a file that could not be decoded, or of a folder that cannot be read -> cause and reason.
        left_out: What it is -> number of files below the folders that are not audio, see `sources.describe`.
    """

    count: int
    quarantined: dict[str, str]
    left_out: dict[str, int]


def embed_files(saved_model: str, files: Sequence[str], *, output: str) -> EmbeddedFiles:
    """Embeds files and folders of audio and writes the embeddings to a NumPy archive.

    The archive, which `numpy.load` opens, holds `path` (n,), `embedding` (n, dim) with the embeddings of all encoders
    concatenated, and one array for each encoder under its name, (n, its dim). Each embedding is the mean over the
    sub-clips of a file. Files that cannot be decoded have no row.

    A process of its own decodes the files, with limits on time and memory. Long files are decoded in portions to a
    temporary file, and embedded in portions, so that memory does not grow with their length.

    Args:
        saved_model: A folder that the Exporter wrote or the Pusher copied.
        files: Audio files, and folders to search for them.
        output: The `.npz` file to write.

    Raises:
        UserError: The model or a file does not exist, no file could be decoded, or the output cannot be written.
    """
    info = _read_info(pathlib.Path(saved_model))
    found = _find(files)
    if not os.path.isdir(os.path.dirname(os.path.abspath(output))) or os.path.isdir(output):
        raise UserError(f"--output {output} is not a file in a folder that exists: name another.")
    embed = _load(saved_model)
    columns: dict[str, list[str | np.ndarray]] = {"path": []}
    quarantined = {path: f"unreadable: {reason}" for path, reason in found.unreadable.items()}
    decoder = Decoder(sample_rate=info.sample_rate, rules=_RULES, memory_bytes=_DECODER_BYTES)
    with contextlib.closing(decoder):
        for path in found.files:
            try:
                with Spool() as spool:
                    decoder.decode_file(path, spool)
                    embeddings = _embed_in_portions(spool, embed=embed, info=info)
            except audio.DecodeError as error:
                quarantined[path] = f"{error.cause}: {error}"
                continue
            columns["path"].append(path)
            for name, values in embeddings.items():
                columns.setdefault(name, []).append(values)
    count = len(columns["path"])
    if not count:
        raise UserError(f"None of the {len(found.files)} files could be decoded: give at least one audio file.")
    try:
        with open(output, "wb") as file:
            np.savez(file, **{name: np.stack(values) for name, values in columns.items()})
    except OSError as error:
        raise UserError(f"--output {output} cannot be written ({error.strerror}): name another file.") from error
    return EmbeddedFiles(count=count, quarantined=quarantined, left_out=found.left_out)


def _load(saved_model: str) -> Callable[..., dict[str, np.ndarray]]:
    """Returns a function that calls a signature of a SavedModel on int16 (samples,) and returns its outputs."""
    # Imported here so that wrong arguments are reported before the seconds that TensorFlow takes to load.
    import tensorflow as tf

    try:
        with storage.without_wildcards(saved_model) as readable:
            signatures = tf.saved_model.load(readable).signatures
    except Exception as error:  # TensorFlow raises errors of many types for damaged files.
        raise _load_error(saved_model, error) from error

    def embed(samples: np.ndarray, *, signature: str) -> dict[str, np.ndarray]:
        outputs = signatures[signature](audio=tf.constant(pcm.to_float(samples[None])))
        return {name: values.numpy()[0] for name, values in outputs.items()}

    return embed


def _embed_in_portions(
    samples: Spool, *, embed: Callable[..., dict[str, np.ndarray]], info: EmbeddingInfo
) -> dict[str, np.ndarray]:
    """Embeds a file in portions of a few sub-clips, because SavedModels of earlier versions embed all at once.

    Args:
        samples: The samples of the file.
        embed: See `_load`.
        info: Describes the model.

    Returns:
        Name of the embedding -> (dim,), the mean over all sub-clips.
    """
    crop, stride = info.crop_samples, info.stride_samples
    last = max(len(samples) - crop, 0)
    count = 1 + math.ceil(last / stride)
    if count <= _SUBCLIPS_AT_A_TIME:
        return embed(samples.read(0, len(samples)), signature="serving_default")
    sums: dict[str, np.ndarray] = {}
    for first in range(0, count, _SUBCLIPS_AT_A_TIME):
        # The model cuts a portion that starts and ends with a sub-clip into the same sub-clips as the whole.
        start, end = min(first * stride, last), (first + _SUBCLIPS_AT_A_TIME - 1) * stride + crop
        for name, values in embed(samples.read(start, end), signature="windows").items():
            sums[name] = sums.get(name, 0.0) + values.sum(axis=0)
    return {name: values / count for name, values in sums.items()}


def _read_info(saved_model: pathlib.Path) -> EmbeddingInfo:
    """Reads the info of a SavedModel, and compares all its files with their checksums if it has any.

    Raises:
        UserError: The folder is not a SavedModel that the Exporter wrote.
        DamagedFile: It was one.
        OSError: It cannot be read.
    """
    folder = epath.Path(saved_model.absolute())
    altered = checksums.altered_file(folder)
    if altered:
        checksums.mark_as_altered(folder, altered)  # So that `diptych run` writes it again.
        path = os.fspath(saved_model / altered)
        raise _damaged(f"{path} is not as the Exporter wrote it", path=path)
    try:
        os.stat(saved_model / "saved_model.pb")
        return EmbeddingInfo.read(saved_model)
    except DamagedFile as error:
        raise _damaged(str(error), path=error.path) from error
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise
    raise UserError(
        f"--model {saved_model} is not a SavedModel from Diptych: give the folder that `diptych run` prints last."
    )


def _damaged(what: str, *, path: str) -> DamagedFile:
    return DamagedFile(f"--model: {what}: copy it again, or repeat the `diptych run` that wrote it.", path=path)


def _load_error(saved_model: str, error: Exception) -> UserError:
    """Returns the error of a SavedModel that TensorFlow cannot load: it is damaged, unless the error says otherwise."""
    # Imported here for the reason in `_load`; it is loaded by now.
    import tensorflow as tf

    reason = error_text.first_line(error)
    if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError):
        return UserError(
            f"--model {saved_model} does not fit into memory ({reason}): free some, or use another machine."
        )
    if "Op type not registered" in str(error):
        return UserError(
            f"--model {saved_model} has an operation that TensorFlow {tf.__version__} lacks ({reason}): install the "
            "version that `diptych run` exported it with, or copy it again."
        )
    unreadable = file_errors.as_user_error(error, place=saved_model)
    return unreadable or _damaged(f"{saved_model} cannot be loaded ({reason})", path=saved_model)


def _find(files: Sequence[str]) -> given.Given:
    """Finds the audio files among the given files and folders.

    Raises:
        UserError: A file or folder does not exist, or there is no audio.
    """
    try:
        found = given.find(files)
    except FileNotFoundError as error:
        raise UserError(f"There is no file {error.args[0]}: give audio files, or folders of them.") from error
    if not found.files:
        left_out = f"only {sources.describe(found.left_out)}" if found.left_out else ""
        unreadable = "; ".join(f"{path}: {reason}" for path, reason in found.unreadable.items())
        why = "; ".join(filter(None, (left_out, unreadable)))
        raise UserError(
            f"There is no file in {', '.join(files)} that is audio{f' ({why})' if why else ''}: give audio files, or "
            "folders of them."
        )
    return found
