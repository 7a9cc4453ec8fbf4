"""Checks files of examples."""

import contextlib
from collections.abc import Iterator

from etils import epath

from beam_jobs.examples.info import DamagedExamplesError, ExamplesInfo


def check_file(path: epath.PathLike, *, clips: int) -> list[int]:
    """Reads one TFRecord file.

    Args:
        path: The file.
        clips: How many clips it should hold.

    Returns:
        The bytes of each record.

    Raises:
        DamagedExamplesError: It is missing or damaged, or it holds another number of clips.
        OSError: It cannot be read, which says nothing about its content.
    """
    # Imported here so that `read_info` works without the library for checksums.
    from beam_jobs.examples import tfrecord

    with damage_named(path):
        sizes = tfrecord.checked_sizes(epath.Path(path))
    check_count(path, count=len(sizes), clips=clips)
    return sizes


@contextlib.contextmanager
def damage_named(path: epath.PathLike) -> Iterator[None]:
    """Makes an error of a function of `tfrecord` name the file that it reads.

    Raises:
        DamagedExamplesError: The file is missing or damaged.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise DamagedExamplesError(path, "is missing") from error
    except ValueError as error:
        raise DamagedExamplesError(path, f"is damaged {error}") from error


def check_count(path: epath.PathLike, *, count: int, clips: int) -> None:
    """Checks that the number of clips in a file is what it should be.

    Raises:
        DamagedExamplesError: It is not.
    """
    if count != clips:
        raise DamagedExamplesError(path, f"holds {count:,} of its {clips:,} clips")


def check_file_in(error: Exception, info: ExamplesInfo) -> None:
    """Reads the file once more that made a Beam job fail, because Beam passes on no more than the text of the error.

    Raises:
        DamagedExamplesError: The text names a damaged file of `info`, which is still damaged.
        OSError: That file cannot be read.
    """
    text = str(error)
    if DamagedExamplesError.__name__ not in text:
        return
    for split in info.splits:
        for path, clips in zip(info.files(split), info.shard_lengths[split], strict=True):
            if f"{path} " in text:
                check_file(path, clips=clips)
