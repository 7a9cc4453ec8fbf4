"""Embeddings of audio files through an exported SavedModel."""

import os
import pathlib
from collections.abc import Iterator, Sequence

from components.base import EMBEDDING_INFO
from components.errors import UserError


def embed_files(saved_model: str, files: Sequence[str], *, output: str) -> tuple[int, dict[str, str]]:
    """Embeds files and folders of audio into one NumPy archive.

    The archive holds `path` (n,), `embedding` (n, dim), the mean over each file's sub-clips with the formats
    concatenated, and one array per format under its name, (n, its dim); `numpy.load` opens it. A file that cannot be
    decoded is left out.

    Args:
        saved_model: Folder that the Exporter wrote or the Pusher copied.
        files: Audio files, and folders to look through for any.
        output: The `.npz` to write.

    Returns:
        How many files were embedded, and the files left out with the reason.

    Raises:
        UserError: no such model or file, nothing could be decoded, or the output cannot be written.
    """
    info = _info(pathlib.Path(saved_model))
    paths = list(_expand(files))
    if not paths:
        raise UserError(f"There is no file in {', '.join(files)}: give audio files, or folders of them.")
    if not pathlib.Path(output).absolute().parent.is_dir() or pathlib.Path(output).is_dir():
        raise UserError(f"--output {output} is not a file in a folder that exists: name another.")
    import numpy as np
    import tensorflow as tf

    from beam_jobs import audio
    from beam_jobs.audio import pcm

    serve = tf.saved_model.load(saved_model).signatures["serving_default"]
    rows: dict[str, list] = {"path": []}
    left_out: dict[str, str] = {}
    for path in paths:
        try:
            samples = audio.decode_file(path, sample_rate=info["sample_rate"])
        except audio.DecodeError as error:
            left_out[os.fspath(path)] = str(error)
            continue
        embedded = serve(audio=tf.constant(pcm.to_float(samples[None])))
        rows["path"].append(os.fspath(path))
        for name, values in embedded.items():
            rows.setdefault(name, []).append(values.numpy()[0])
    if not rows["path"]:
        raise UserError(f"None of the {len(paths)} files named could be decoded: give at least one audio file.")
    try:
        with open(output, "wb") as file:
            np.savez(file, **{name: np.stack(values) for name, values in rows.items()})
    except OSError as error:
        raise UserError(f"--output {output} cannot be written ({error.strerror}): name another file.") from error
    return len(rows["path"]), left_out


def _info(saved_model: pathlib.Path) -> dict:
    import json

    file = saved_model / EMBEDDING_INFO
    if not (saved_model / "saved_model.pb").exists() or not file.exists():
        raise UserError(
            f"--model {saved_model} is not a SavedModel of Diptych's: give the folder that `diptych run` prints last."
        )
    return json.loads(file.read_text())


def _expand(files: Sequence[str]) -> Iterator[pathlib.Path]:
    for name in files:
        path = pathlib.Path(name)
        if path.is_dir():
            yield from sorted(child for child in path.rglob("*") if child.is_file())
        elif path.exists():
            yield path
        else:
            raise UserError(f"There is no file {name}: give audio files, or folders of them.")
