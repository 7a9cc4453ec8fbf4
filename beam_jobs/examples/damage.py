"""Finds the damaged file in a folder of examples."""

import re

from etils import epath

from beam_jobs.examples.info import DamagedFileError, damaged, read_info

_MESSAGE = re.compile(rf"{DamagedFileError.__name__}: (.+?)(?: \[while running|\n|$)")


def check_folder(directory: epath.PathLike) -> None:
    """Reads all files of a folder of examples.

    Raises:
        DamagedFileError: A file does not hold what was written. The message names the first such file.
    """
    info = read_info(directory)
    for split in info.splits:
        for path, clips in zip(info.files(split), info.shard_lengths[split], strict=True):
            check_file(path, clips=clips)


def check_file(path: epath.PathLike, *, clips: int) -> None:
    """Reads one TFRecord file.

    Args:
        path: The file.
        clips: How many clips it should hold.

    Raises:
        DamagedFileError: It is missing or damaged, or it holds another number of clips.
    """
    # Imported here because it needs a library that `read_info` should not load.
    from beam_jobs.examples import tfrecord

    try:
        count = tfrecord.count(epath.Path(path))
    except FileNotFoundError as error:
        raise damaged(path, "is missing") from error
    except OSError as error:
        raise damaged(path, f"cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise damaged(path, f"is damaged {error}") from error
    if count != clips:
        raise damaged(path, f"holds {count:,} of its {clips:,} clips")


def raised_by_worker(error: Exception) -> DamagedFileError | None:
    """Returns the DamagedFileError that made a Beam job fail; Beam passes on no more than its text."""
    found = _MESSAGE.search(str(error))
    return DamagedFileError(found[1]) if found else None
