"""Embeds sounds group by group, and writes the embeddings to one file."""

import contextlib
import dataclasses
import itertools
import os
import pathlib
from collections.abc import Generator, Iterator, Sequence
from typing import Protocol

import numpy as np

from beam_jobs import audio, sources, storage
from beam_jobs.audio.parallel import Decoders
from beam_jobs.audio.spool import Spool
from beam_jobs.embedding import windows
from beam_jobs.embedding.embedder import BATCH_SIZE, Embedder, Loader
from beam_jobs.embedding.info import RowKind
from components import base, file_errors
from components.errors import UserError
from pipeline import output_files
from pipeline.serving.embedding import inputs, journal, outputs, part, quarantine, stored
from pipeline.serving.embedding.inputs import Group, Inputs
from pipeline.serving.embedding.journal import Journal, Parameters, Record
from pipeline.serving.embedding.meter import Meter
from pipeline.serving.embedding.quarantine import Entry


class Model(Loader, Protocol):
    """A loader that says what decides the vectors beside the model's content, and where the model is.

    Attributes:
        source: Where it is, for messages.
    """

    source: str

    def library(self) -> str:
        """Returns name and version of what runs the model, on which the vectors' last digits depend."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Embedded:
    """The result of `embed`.

    Attributes:
        clips: Number of files, segments and stored clips that were embedded.
        quarantined: What could not be embedded.
        table: The file that lists it.
        left_out: What it is -> number of files below the folders that are not read, see `sources.describe`.
        damage: Why groups that an earlier call has finished were embedded again; empty if none was.
        not_finite: Files for which the model gives numbers that are not finite, as the rows name them.
    """

    clips: int
    quarantined: Sequence[Entry]
    table: pathlib.Path
    left_out: dict[str, int]
    damage: str
    not_finite: Sequence[str]


def embed(
    model: Model,
    paths: Sequence[str],
    *,
    output: str,
    row: RowKind,
    restart: bool,
    progress: base.Progress,
    batch_size: int = BATCH_SIZE,
) -> Embedded:
    """Embeds what the paths name, and writes the embeddings to a file.

    A call that was stopped at any moment is continued by the same call, which then writes the same bytes as one that
    was not stopped. If what was finished is damaged, it is embedded again from there on.

    Args:
        model: What embeds.
        paths: See `inputs.find`.
        output: The file; its suffix is one of `outputs.WRITERS`.
        row: Whether each window becomes a row, or the mean over those of a clip.
        restart: Whether to forget what an earlier call with other arguments has finished.
        progress: Gets the progress.
        batch_size: Windows that the model gets at a time.

    Raises:
        UserError: Something that is needed does not exist, nothing could be embedded, the output cannot be written, or
            an earlier call with other arguments has begun to write it.
    """
    target = outputs.check(output, inputs=paths)
    quarantine.table_of(target, inputs=paths)  # Hours before it is written, the user is still there.
    found = inputs.find(paths)
    output_files.refuse_inputs(output, found.files())
    parameters = Parameters(
        model=model.digest(),
        inputs=found.digest,
        clips=sum(map(len, found.groups)),
        row=row,
        batch_size=batch_size,
        library=model.library(),
        source=model.source,
    )
    with (
        file_errors.as_user_errors(place=output),
        journal.opened(target, parameters, restart=restart) as finished,
    ):
        if len(finished.records) < len(found.groups):
            embedder = model.load()
            try:
                _embed_groups(found.groups, embedder, finished, parameters=parameters, progress=progress)
            except windows.BatchMemoryError as error:
                raise UserError(f"--batch-size {batch_size:,}: {error}: give a smaller number.") from error
        table = quarantine.table_of(target, inputs=paths)
        embedded = _publish(target, found, finished, table=table, model=parameters.model, folder=_folder_of(paths))
        finished.remove()
    if not embedded.clips:
        raise UserError(
            f"None of the files could be decoded ({embedded.table} says why): give at least one audio file."
        )
    return embedded


def _folder_of(paths: Sequence[str]) -> str:
    """Returns the folder from which relative paths lead, or "" if all are absolute."""
    is_relative = any(not storage.is_remote(path) and not os.path.isabs(path) for path in paths)
    return os.getcwd() if is_relative else ""


def _publish(
    target: pathlib.Path, found: Inputs, finished: Journal, *, table: pathlib.Path, model: str, folder: str
) -> Embedded:
    """Writes the output and the table of what could not be embedded."""
    clips = sum(record.clips for record in finished.records)
    of_groups = (entry for record in finished.records for entry in record.quarantined)
    quarantined = [*map(quarantine.of_listing, found.quarantined), *of_groups]
    quarantine.write(table, quarantined, output=target)
    if clips:
        rows = sum(record.rows for record in finished.records)
        parts = part.Parts(files=finished.parts, rows=rows, model=model, folder=folder)
        outputs.write(target, parts, temporary=finished.temporary, has_labels=found.has_labels)
    return Embedded(
        clips=clips,
        quarantined=quarantined,
        table=table,
        left_out=found.left_out,
        damage=finished.damage,
        not_finite=list(dict.fromkeys(name for record in finished.records for name in record.not_finite)),
    )


def _embed_groups(
    groups: Sequence[Group], embedder: Embedder, finished: Journal, *, parameters: Parameters, progress: base.Progress
) -> None:
    """Embeds the groups that are not finished yet."""
    start = len(finished.records)
    rate = embedder.framing.sample_rate
    meter = Meter(
        progress,
        total_bytes=sum(sum(group.sizes) for group in groups),
        done_bytes=sum(sum(group.sizes) for group in groups[:start]),
        clips=sum(map(len, groups)),
        done_clips=sum(map(len, groups[:start])),
        sample_rate=rate,
    )
    with (
        Decoders(sample_rate=rate) as decoders,
        contextlib.closing(_sounds(groups[start:], decoders, sample_rate=rate)) as sounds,
    ):
        for number, group in enumerate(groups[start:], start):
            of_group = zip(group.sizes, itertools.islice(sounds, len(group)), strict=True)
            record = _embed_group(of_group, embedder, finished.part(number), parameters=parameters, meter=meter)
            finished.finish(record)


_Sound = tuple[sources.Clip, windows.Sound | audio.DecodeError]
_Piece = windows.EmbeddedWindows[tuple[sources.Clip, int]]  # The key is the clip and its size in bytes.


def _sounds(groups: Sequence[Group], decoders: Decoders, *, sample_rate: int) -> Generator[_Sound, None, None]:
    """Yields the sounds of all groups in order. Files are decoded ahead, also those of the next group."""
    for file, run in itertools.groupby(groups, key=lambda group: group.file):
        if file:
            yield from stored.read(list(run), sample_rate=sample_rate)
        else:
            yield from decoders.decode(itertools.chain.from_iterable(group.clips for group in run))


def _embed_group(
    sounds: Iterator[tuple[int, _Sound]],
    embedder: Embedder,
    path: pathlib.Path,
    *,
    parameters: Parameters,
    meter: Meter,
) -> Record:
    """Embeds the sounds of a group, each with its size in bytes, and writes their rows."""
    quarantined: list[Entry] = []
    not_finite: dict[str, None] = {}  # A file may come in several pieces.

    def decoded() -> Iterator[tuple[tuple[sources.Clip, int], windows.Sound]]:
        for size, (clip, sound) in sounds:
            if isinstance(sound, audio.DecodeError):
                quarantined.append(quarantine.of_error(clip, sound))
                meter.add(size=size, samples=0)
            else:
                yield (_as_read(clip, sound), size), sound

    pieces = _metered(windows.embed(decoded(), embedder, batch_size=parameters.batch_size), meter)
    if parameters.row == "clip":
        pieces = windows.clip_means(pieces)
    rate = embedder.framing.sample_rate
    with part.Writer(path, dims=embedder.dims, sample_rate=rate) as writer:
        for piece in pieces:
            clip, _ = piece.key
            writer.add(clip, piece)
            if not all(np.isfinite(vectors).all() for vectors in piece.vectors.values()):
                not_finite[quarantine.printable(clip.path)] = None
    return Record(
        rows=writer.rows,
        clips=writer.clips,
        seconds=writer.samples / rate,
        quarantined=tuple(quarantined),
        not_finite=tuple(not_finite),
    )


def _as_read(clip: sources.Clip, sound: windows.Sound) -> sources.Clip:
    """Returns a clip that says whether its file was trimmed. If a list cannot tell, the decoder has found out."""
    if clip.start_s is None or clip.trimmed is not None or not isinstance(sound, Spool):
        return clip
    return dataclasses.replace(clip, trimmed=sound.start_s != clip.start_s)


def _metered(pieces: Iterator[_Piece], meter: Meter) -> Iterator[_Piece]:
    """Yields the pieces, and reports the progress of each."""
    for piece in pieces:
        yield piece
        _, size = piece.key
        if piece.is_last:
            meter.add(size=size, samples=piece.samples)
        else:
            samples = int(piece.starts[-1])
            meter.show(bytes_within=size * samples / piece.samples, samples_within=samples)
