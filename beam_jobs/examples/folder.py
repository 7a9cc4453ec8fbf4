"""Finds the damaged file in a folder of examples."""

import numpy as np
from etils import epath

from beam_jobs.examples import check, record_sizes
from beam_jobs.examples.info import DamagedExamplesError, read_info


def check_folder(directory: epath.PathLike) -> None:
    """Reads all files of a folder of examples, and compares the sizes of their clips with `record_sizes.npz`.

    Raises:
        DamagedExamplesError: A file does not hold what was written. The first such file is named.
        OSError: A file cannot be read, which says nothing about its content.
    """
    info = read_info(directory)
    for split in info.splits:
        written, first = record_sizes.written(info, split), 0
        for path, clips in zip(info.files(split), info.shard_lengths[split], strict=True):
            sizes = check.check_file(path, clips=clips)
            if written is not None and not np.array_equal(sizes, written[first : first + clips]):
                raise DamagedExamplesError(info.directory / record_sizes.FILE, f"holds wrong sizes of clips in {path}")
            first += clips
