"""A plain CSV manifest: `path[,start,end][,labels][,split][,fold]`."""

import functools
import math
from collections.abc import Iterator

from etils import epath

from beam_jobs import examples
from beam_jobs.sources import clips as common
from beam_jobs.sources.clips import Clip, Listing, RowError, SourceError

NAME = "manifest.csv"
_COLUMNS = ("path", "start", "end", "labels", "split", "fold")


def is_manifest(table: epath.Path) -> bool:
    """Whether there is such a file, and its header has a column `path`: other programs call their lists so, too."""
    return table.exists() and "path" in next(common.rows(table), (1, []))[1]


def list_clips(table: epath.Path) -> Listing:
    """The clips of a manifest, which begins with a header.

    Its columns, in any order, only `path` being required:
        path: The file, relative to the manifest's folder or absolute (a URL, too). Whether it is there shows when it
            is read.
        start, end: The segment of the file that is the clip, in seconds; both empty for the whole file. Rows with
            other segments of one file are other clips.
        labels: Names of classes, separated by `;` or, in a cell without one, by `,` inside quotes. A single name with
            a comma in it ends with a `;`. The classes are numbered in alphabetical order.
        split: "train", "valid" or "eval"; empty for 95 % train and 5 % valid by a hash of the clip id.
        fold: Cross-validation fold from 1; empty for none.

    Raises:
        SourceError: if there is no such file, or its header is not as above.
    """
    if not table.exists():
        raise SourceError(f"there is no {table}, which the manifest layout needs; give the folder of the manifest")
    rows = common.rows(table)
    header = next(rows, (1, []))[1]
    _check_header(table, header)
    sorter = common.Sorter()
    sorter.read(table, rows, functools.partial(_clip, header))
    return Listing(
        root=str(table.parent),
        clips=sorter.clips,
        refused=sorter.refused,
        label_names=tuple(sorted({name for clip in sorter.clips for name in clip.labels})),
        layout="manifest",
    )


def paths(table: epath.Path) -> Iterator[str]:
    """What its rows have in the column `path`, well-formed or not; nothing of a table without one."""
    rows = common.rows(table)
    header = next(rows, (1, []))[1]
    if "path" in header:
        column = header.index("path")
        yield from (cells[column] for _, cells in rows if len(cells) > column)


def _check_header(table: epath.Path, header: list[str]) -> None:
    unknown = [column for column in header if column not in _COLUMNS]
    if "path" not in header or len(set(header)) < len(header):
        raise SourceError(
            f"{table}:1: the first line must name the columns, 'path' among them and none twice, not "
            f"{', '.join(header)!r}; a manifest has path[,start,end][,labels][,split][,fold]"
        )
    if unknown:
        raise SourceError(
            f"{table}:1: unknown column '{unknown[0]}'; a manifest has path[,start,end][,labels][,split][,fold], so "
            "rename or remove it"
        )
    if ("start" in header) != ("end" in header):
        raise SourceError(f"{table}:1: the columns start and end go together; add the other one")


def _clip(header: list[str], row: list[str]) -> Clip:
    if len(row) != len(header):
        raise RowError(f"expected {','.join(header)}, not {', '.join(row)!r}; correct the line")
    cells = dict(zip(header, row, strict=True))
    path, split, fold = cells["path"], cells.get("split", ""), cells.get("fold", "")
    if not path:
        raise RowError("the path is empty; give one or remove the line")
    if split not in ("", *examples.SPLITS):
        raise RowError(f"'{split}' is no split; give one of {', '.join(examples.SPLITS)} or nothing")
    if fold and not (fold.isdecimal() and int(fold)):
        raise RowError(f"'{fold}' is no fold; give a whole number from 1 or nothing")
    start, end = _segment(cells.get("start", ""), cells.get("end", ""))
    clip_id = path if start is None else f"{path}@{start:.10g}-{end:.10g}"
    return Clip(
        clip_id=clip_id,
        path=path,
        start_s=start,
        end_s=end,
        trimmed=False,
        labels=_labels(cells.get("labels", "")),
        split=split or common.split_of(clip_id),
        fold=int(fold or 0),
    )


@functools.lru_cache(maxsize=2**16)
def _labels(cell: str) -> tuple[str, ...]:
    names = (name.strip() for name in cell.split(";" if ";" in cell else ","))
    return tuple(dict.fromkeys(name for name in names if name))


def _segment(start: str, end: str) -> tuple[float, float] | tuple[None, None]:
    if not start and not end:
        return None, None
    try:
        seconds = float(start), float(end)
    except ValueError:
        seconds = math.nan, math.nan
    if not 0 <= seconds[0] < seconds[1] < math.inf:
        raise RowError(f"'{start}' to '{end}' is no segment; give seconds with 0 <= start < end, or nothing in both")
    return seconds
