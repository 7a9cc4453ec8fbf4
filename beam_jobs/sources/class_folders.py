"""Reads a folder of audio in which the names of the sub-folders are the classes."""

from collections.abc import Iterable, Sequence, Set

from etils import epath

from beam_jobs.sources import files
from beam_jobs.sources.clips import Clip, Listing, SourceError, nonzero
from beam_jobs.sources.splits import split_of

LAYOUT = "class_folders"

_SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"),
    **dict.fromkeys(("eval", "evaluation", "test", "testing"), "eval"),
}
"""Names of folders, in lower case, that are splits and not classes if all folders beside them are, too -> the split."""


def names(audio: Iterable[str]) -> list[str]:
    """Returns the names of the classes in alphabetical order.

    Args:
        audio: The audio files, relative to the source.
    """
    paths = [name.split("/") for name in audio]
    depth = _class_depth(paths)
    return sorted({path[depth] for path in paths if len(path) > depth + 1})


def list_clips(folder: epath.Path, audio: Sequence[str], *, repeated: Set[str] = frozenset()) -> Listing:
    """Lists the audio of a folder with its first sub-folder as its class.

    The class of `dog/2024/a.wav` is `dog`; a file beside the sub-folders has no label. If all of the sub-folders are
    called train, test and the like, and some hold sub-folders themselves, as in `test/dog/a.wav`, they are the splits,
    and the sub-folders in them the classes; `test/a.wav` then has no label. Otherwise, and if no split is the valid
    one, a hash of the clip id chooses 5 % of train for valid.

    Args:
        folder: The source.
        audio: Its audio files, relative to it.
        repeated: Those that are there under another name.

    Raises:
        SourceError: There are fewer than two classes.
    """
    kept = [name for name in audio if name not in repeated]
    label_names = tuple(names(kept))
    if len(label_names) < 2:
        only = f" but {label_names[0]}" if label_names else ""
        raise SourceError(
            f"there are no sub-folders with audio in {folder}{only}, and the {LAYOUT} layout needs one for each of at "
            "least two classes; give the folder that holds them"
        )
    paths = [name.split("/") for name in kept]
    depth = _class_depth(paths)
    splits = [_SPLIT_FOLDERS.get(path[0].lower(), "train") if depth else "train" for path in paths]
    has_valid = "valid" in splits
    clips = [
        Clip(
            clip_id=name,
            path=name,
            labels=(path[depth],) if len(path) > depth + 1 else (),
            split=split_of(name) if split == "train" and not has_valid else split,
        )
        for name, path, split in zip(kept, paths, splits, strict=True)
    ]
    ignored = nonzero({files.REPEATED: len(repeated)})
    return Listing(root=str(folder), clips=clips, label_names=label_names, layout=LAYOUT, ignored=ignored)


def _class_depth(paths: Sequence[Sequence[str]]) -> int:
    """Returns how many folders above the one that is the class: 1 if they are splits, otherwise 0.

    A single class may be called "train" or "test", as in ESC-50. So all must, and some must hold classes of their own.
    A stray file beside those does not make classes of the splits.
    """
    tops = {path[0].lower() for path in paths if len(path) > 1}
    return int(len(tops) > 1 and tops <= _SPLIT_FOLDERS.keys() and any(len(path) > 2 for path in paths))
