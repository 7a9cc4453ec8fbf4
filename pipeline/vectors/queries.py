"""The vectors to search for: of audio files, or of files that the embeddings already hold."""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from beam_jobs import audio, sources
from beam_jobs.audio.parallel import Decoders
from beam_jobs.embedding import windows
from beam_jobs.embedding.embedder import BATCH_SIZE, Embedder
from beam_jobs.sources import given
from components.errors import UserError
from pipeline.paths import composed
from pipeline.serving.embedding.quarantine import printable
from pipeline.vectors.index import Index
from pipeline.vectors.stored import StoredVectors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Query:
    """A vector to search for.

    Attributes:
        name: The file, spelled as `diptych embed` spells it.
        start_s: Where the window begins in the file, in seconds; 0 for the mean of a file.
        end_s: Where it ends.
        vector: float (dim,).
        but: Number in the index of the file itself, which is no hit; None if it is not in the index.
    """

    name: str
    start_s: float
    end_s: float
    vector: np.ndarray
    but: int | None = None

    @property
    def key(self) -> tuple[str, float, float, int | None]:
        """What tells one query from another."""
        return self.name, float(self.start_s), float(self.end_s), self.but


def find(paths: Sequence[str]) -> given.Given:
    """Returns the audio files among files and folders.

    Raises:
        UserError: A file or folder does not exist, or there is no audio.
    """
    try:
        found = given.find(paths)
    except FileNotFoundError as error:
        raise UserError(f"There is no file {error.args[0]}: give audio files, or folders of them.") from error
    if not found.files:
        raise UserError(f"There is no audio in {', '.join(paths)}: give audio files, or folders of them.")
    return found


def like(stored: StoredVectors, index: Index, names: Sequence[str], *, each_window: bool) -> list[Query]:
    """Returns queries for files that the embeddings hold.

    Args:
        stored: The embeddings.
        index: Their index.
        names: The files, as the embeddings name them or without the folders above.
        each_window: Whether each row of a file is a query, and not their mean.

    Raises:
        UserError: There is no such file in the embeddings, or there are several.
    """
    queries = []
    names = [printable(name) for name in names]
    for name, rows in zip(names, _rows(stored, names), strict=True):
        vectors, places = stored.vectors(rows), stored.places(rows)
        number = int(index.files[rows[0]])
        if each_window:
            times = zip(places.start_s, places.end_s, vectors, strict=True)
            queries += [
                Query(name=name, start_s=start, end_s=end, vector=vector, but=number) for start, end, vector in times
            ]
        else:
            mean = vectors.mean(axis=0, dtype=np.float64)
            queries.append(Query(name=name, start_s=0.0, end_s=places.end_s.max(), vector=mean, but=number))
    return queries


def embedded(
    found: given.Given, embedder: Embedder, *, columns: Sequence[str], each_window: bool
) -> tuple[list[Query], list[str]]:
    """Embeds audio files.

    Args:
        found: The files, of any length and common codec; see `find`.
        embedder: The model.
        columns: The embeddings to concatenate.
        each_window: Whether each window of a file is a query, and not their mean.

    Returns:
        The queries, and a sentence for each file that cannot be read or decoded, and for what folders hold besides.
    """
    left_out = [f"{path} left out: unreadable: {reason}" for path, reason in found.unreadable.items()]
    with Decoders(sample_rate=embedder.framing.sample_rate) as decoders:
        sounds = _sounds(found.files, decoders, left_out=left_out)
        pieces = windows.embed(sounds, embedder, batch_size=BATCH_SIZE)
        if not each_window:
            pieces = windows.clip_means(pieces)
        queries = [query for piece in pieces for query in _of_piece(piece, embedder, columns=columns)]
    if found.left_out:
        left_out.append(f"left out {sources.describe(found.left_out)}")
    return queries, left_out


def different(queries: Sequence[Query]) -> list[Query]:
    """Returns the queries without repetitions: a file may be given twice, and be twice in the embeddings."""
    found: dict[tuple[str, float, float, int | None], Query] = {}
    for query in queries:
        found.setdefault(query.key, query)
    return list(found.values())


def check(queries: Sequence[Query]) -> None:
    """Checks that queries point somewhere.

    Raises:
        UserError: A vector is not finite, or is zero.
    """
    for query in queries:
        what = "is not finite" if not np.isfinite(query.vector).all() else "is zero" if not query.vector.any() else ""
        if what:
            raise UserError(f"The vector of {query.name} {what}, so nothing is near to it: search for another sound.")


def _sounds(files: Sequence[str], decoders: Decoders, *, left_out: list[str]) -> Iterator[tuple[str, windows.Sound]]:
    for clip, sound in decoders.decode(sources.Clip(clip_id=file, path=file) for file in files):
        if isinstance(sound, audio.DecodeError):
            left_out.append(f"{printable(clip.path)} left out: {sound.cause}: {sound}")
        else:
            yield printable(clip.path), sound


def _of_piece(piece: windows.EmbeddedWindows[str], embedder: Embedder, *, columns: Sequence[str]) -> list[Query]:
    rate, vectors = embedder.framing.sample_rate, np.concatenate([piece.vectors[name] for name in columns], axis=1)
    return [
        Query(name=piece.key, start_s=start / rate, end_s=end / rate, vector=vector)
        for start, end, vector in zip(piece.starts, piece.ends, vectors, strict=True)
    ]


def _rows(stored: StoredVectors, names: Sequence[str]) -> list[np.ndarray]:
    """Returns the rows of each file, int (rows,)."""
    exact: dict[str, list[int]] = {name: [] for name in names}
    endings: dict[str, dict[str, list[int]]] = {name: {} for name in names}
    first = 0
    for block in stored.names():
        spelled = [_ending(full) for full in block]
        for name in names:
            ending = _ending(name)
            for row in np.flatnonzero([full.endswith(ending) for full in spelled]):
                rows = exact[name] if block[row] == name else endings[name].setdefault(block[row], [])
                rows.append(first + int(row))
        first += len(block)
    return [_only(stored, name, exact[name], endings[name]) for name in names]


def _ending(path: str) -> str:
    """Returns what a path ends with if another one is the same, or the same without the folders above."""
    return f"/{composed(path)}"


def _only(stored: StoredVectors, name: str, exact: Sequence[int], endings: Mapping[str, Sequence[int]]) -> np.ndarray:
    if exact:
        return np.array(exact)
    # A file that differs by nothing but the spelling of accents comes before those in other folders.
    whole = [full for full in endings if _ending(full) == _ending(name)]
    if whole or len(endings) == 1:
        return np.array(endings[next(iter(whole or endings))])
    if endings:
        several = ", ".join(list(endings)[:3])
        raise UserError(
            f"--like {name} fits {len(endings):,} files of {stored.path} ({several}): give more of the path"
        )
    known = {full for block in stored.names() for full in block}
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6) if len(known) < 10_000 else []
    hint = f"did you mean {close[0]}?" if close else "give its name as there, or the file itself with --model"
    raise UserError(f"--like {name}: {stored.path} has no such file; {hint}")
