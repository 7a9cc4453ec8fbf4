"""ESC-50 as it ships (Piczak 2015): `meta/esc50.csv` and `audio/`."""

from etils import epath

from beam_jobs.sources import clips as common
from beam_jobs.sources.clips import Clip, Listing, RowError, SourceError

TABLE = "meta/esc50.csv"
_COLUMNS = ("filename", "fold", "target", "category")


def list_clips(folder: epath.Path, files: list[str]) -> Listing:
    """`meta/esc50.csv` with filename, fold, target, category; the audio is matched by stem, whatever its coding.

    The classes are numbered in the order of their targets, so that a part such as ESC-10 is a corpus, too.

    Raises:
        SourceError: if there is no such list, or its header lacks a column.
    """
    table = folder / TABLE
    if not table.exists():
        raise SourceError(f"there is no {table}, which the esc50 layout needs; give ESC-50's top folder")
    rows = common.rows(table)
    header = next(rows, (1, []))[1]
    if any(column not in header for column in _COLUMNS):
        raise SourceError(
            f"{table}:1: the first line must name the columns {', '.join(_COLUMNS)}; put ESC-50's own file there"
        )
    reader = _Rows(header, files)
    sorter = common.Sorter()
    sorter.read(table, rows, reader.clip)
    return Listing(
        root=str(folder),
        clips=sorter.clips,
        refused=sorter.refused,
        label_names=tuple(name for _, name in sorted(reader.names.items())),
        layout="esc50",
        left_out=common.counted({f"audio files that no row of {TABLE} needs": len(files) - len(sorter.files())}),
    )


class _Rows:
    """Rows of the list to clips; `names` maps the targets so far to categories."""

    def __init__(self, header: list[str], files: list[str]):
        self.names: dict[int, str] = {}
        self._targets: dict[str, int] = {}
        self._header = header
        self._files = {common.stem(file): file for file in reversed(files)}  # the first of several by name

    def clip(self, row: list[str]) -> Clip:
        """The clip of one row."""
        try:
            cells = dict(zip(self._header, row, strict=True))
            fold, target = int(cells["fold"]), int(cells["target"])
        except ValueError:
            raise RowError(
                f"expected {', '.join(self._header)} with whole numbers for fold and target, not {', '.join(row)!r}; "
                "correct the line"
            ) from None
        stem, category = common.stem(cells["filename"]), cells["category"]
        path = self._files.get(stem, "")
        clip = Clip(clip_id=stem, path=path, labels=(category,), split=common.split_of(stem), fold=fold)
        name, number = self.names.get(target, category), self._targets.get(category, target)
        if (name, number) != (category, target):
            message = f"class {target} is '{category}' here, and class {number} is '{name}' above; correct either"
            raise RowError(message, cause="wrong label", clip=clip)
        self.names[target], self._targets[category] = category, target
        return clip
