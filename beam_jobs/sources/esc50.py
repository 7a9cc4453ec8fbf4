"""ESC-50 as it ships (Piczak 2015): `meta/esc50.csv` and `audio/`."""

from etils import epath

from beam_jobs.sources import clips as common
from beam_jobs.sources.clips import Clip, Listing, SourceError


def list_clips(folder: epath.Path, files: list[str]) -> Listing:
    """`meta/esc50.csv` with filename, fold, target, category; the audio is matched by stem, whatever its coding."""
    table = folder / "meta" / "esc50.csv"
    if not table.exists():
        raise SourceError(f"there is no {table}, which the esc50 layout needs; give ESC-50's top folder")
    by_stem = {common.stem(file): file for file in files}
    names: dict[int, str] = {}
    clips, missing, seen = [], [], set()
    rows = list(common.rows(table))
    header = rows[0][1] if rows else []
    columns = ("filename", "fold", "target", "category")
    if any(column not in header for column in columns):
        raise SourceError(
            f"{table}:1: the first line must name the columns {', '.join(columns)}; put ESC-50's own file there"
        )
    for line, row in rows[1:]:
        try:
            cells = dict(zip(header, row, strict=True))
            stem, category = common.stem(cells["filename"]), cells["category"]
            fold, target = int(cells["fold"]), int(cells["target"])
        except ValueError:
            raise SourceError(
                f"{table}:{line}: expected {', '.join(header)} with whole numbers for fold and target, not "
                f"{', '.join(row)!r}; correct the line"
            ) from None
        if names.setdefault(target, category) != category:
            raise SourceError(
                f"{table}:{line}: class {target} is '{category}' here and '{names[target]}' above; correct either"
            )
        if stem in seen:
            raise SourceError(f"{table}:{line}: the clip '{stem}' is listed twice; remove one of the rows")
        seen.add(stem)
        clip = Clip(
            clip_id=stem, path=by_stem.get(stem, ""), labels=(category,), split=common.split_of(stem), fold=fold
        )
        (clips if clip.path else missing).append(clip)
    if sorted(names) != list(range(len(names))):
        raise SourceError(f"{table}: the targets must be 0 to {len(names) - 1}, without a gap; correct the file")
    return Listing(
        clips=clips,
        missing=missing,
        label_names=tuple(names[i] for i in range(len(names))),
        layout="esc50",
        left_out=common.counted({"audio files not in meta/esc50.csv": len(by_stem.keys() - seen)}),
    )
