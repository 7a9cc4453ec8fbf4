"""Reads the audio, the labels and the ids of clips from a TFDS dataset; see `tfds_source`."""

import bisect
import dataclasses
import io
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import soundfile
import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath

from beam_jobs import storage
from beam_jobs.audio import DecodeError
from beam_jobs.sources import tfds_source
from beam_jobs.sources.clips import Clip

_FINAL_ERRORS = (
    StopIteration,
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
)
"""Errors that say what a file holds. TensorFlow's others, such as UnavailableError, may pass."""


def read(
    folder: epath.PathLike, clips: Sequence[Clip], *, wait: Callable[[int], bool] = lambda tries: False
) -> Iterator[tuple[Clip, bytes | DecodeError]]:
    """Reads the records of some clips. In each file, the range from the first to the last of them is read once.

    Args:
        folder: The dataset.
        clips: Clips of `tfds_source.list_clips`, in its order.
        wait: Called after a failure that may pass, with the number of tries so far. Waits and returns whether to try
            again. By default there is no other try.

    Yields:
        Each clip, in the order given, with its labels and with a `path` that names the record and the dataset's own
        id. With it come the bytes of an audio file: the file that the record holds (`lazy_decode`), otherwise a WAV
        file of its samples. If the record cannot be read, a DecodeError comes instead.
    """
    dataset = tfds_source.open_dataset(folder)
    for split, members in itertools.groupby(clips, key=lambda clip: clip.path):
        info = dataset.builder.info.splits[split]
        ends = list(itertools.accumulate(info.shard_lengths))
        for file, part in itertools.groupby(members, key=lambda clip: bisect.bisect_right(ends, clip.record)):
            if storage.is_no_file(info.filepaths[file]):  # TensorFlow would wait for its content.
                yield from ((_describe(clip), DecodeError("unreadable", storage.NO_FILE)) for clip in part)
            else:
                yield from _read_file(dataset, list(part), wait=wait)


def _read_file(
    dataset: tfds_source.AudioDataset, clips: list[Clip], *, wait: Callable[[int], bool]
) -> Iterator[tuple[Clip, bytes | DecodeError]]:
    """Reads clips of one TFRecord file. Reading ends at damage, so the clips behind it are unreadable."""
    records = _read_records(dataset, clips)
    for i, clip in enumerate(clips):
        for tries in itertools.count(1):
            try:
                record = next(records)
                break
            except (tf.errors.OpError, StopIteration) as error:
                is_transient = not isinstance(error, _FINAL_ERRORS)
                if is_transient and wait(tries):
                    records = _read_records(dataset, clips[i:])
                    continue
                reason = getattr(error, "message", "").partition("\n")[0] or "the file ends before this record"
                for unread in clips[i:]:
                    yield _describe(unread), DecodeError("unreadable", reason, transient=is_transient)
                return
        clip_id, labels = "", ()
        if dataset.id_name is not None:
            clip_id = record[dataset.id_name].decode(errors="replace")
        if dataset.label_name is not None:
            # TFDS writes -1 for an unknown class.
            indices = dict.fromkeys(np.atleast_1d(record[dataset.label_name]).tolist())
            labels = tuple(dataset.label_names[index] for index in indices if index >= 0)
        sound = _to_file(record[dataset.audio_name], rate=dataset.sample_rate)
        yield _describe(clip, clip_id, labels=labels), sound


def _read_records(dataset: tfds_source.AudioDataset, clips: list[Clip]) -> Iterator[dict[str, np.ndarray | bytes]]:
    """Streams the records of clips that are stored in one TFRecord file."""
    first, end = clips[0].record, clips[-1].record + 1
    names = (dataset.audio_name, dataset.label_name, dataset.id_name)
    decoders = {dataset.audio_name: tfds.decode.SkipDecoding()} if dataset.is_encoded else None
    records = dataset.builder.as_dataset(
        split=tfds.core.ReadInstruction(clips[0].path, from_=first, to=end, unit="abs"),
        decoders=tfds.decode.PartialDecoding({name: True for name in names if name is not None}, decoders=decoders),
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
        shuffle_files=False,
    )
    # Other records are dropped before they leave TensorFlow: twenty train clips lie between two that became valid.
    is_wanted = np.zeros(end - first, bool)
    is_wanted[[clip.record - first for clip in clips]] = True
    records = tf.data.Dataset.zip(tf.data.Dataset.from_tensor_slices(is_wanted), records)
    return records.filter(lambda keep, _: keep).map(lambda _, record: record).as_numpy_iterator()


def _describe(clip: Clip, clip_id: str = "", *, labels: tuple[str, ...] = ()) -> Clip:
    return dataclasses.replace(clip, path=f"{clip.path}[{clip.record}] {clip_id}".rstrip(), labels=labels)


def _to_file(value: bytes | np.ndarray, *, rate: int | None) -> bytes | DecodeError:
    """Returns an encoded file unchanged, and samples as a WAV file."""
    if isinstance(value, bytes):
        return value
    subtype = "PCM_16"
    if value.dtype == np.uint8:
        value = (value.astype(np.int16) - 128) * 2**8
    elif value.dtype.kind == "i":
        # TFDS stores audio of any width in the integers of the feature, by default int64. Only 16-bit audio is
        # recognized, because nothing tells the full scale of other audio.
        if value.size and not -(2**15) <= value.min() <= value.max() < 2**15:
            return DecodeError("unreadable", f"holds {value.dtype} samples beyond 16 bits, of no known full scale")
        value = value.astype(np.int16)
    elif value.dtype.kind == "f":
        value, subtype = value.astype(np.float32), "FLOAT"
    else:
        return DecodeError("unreadable", f"holds {value.dtype} samples, of no known full scale")
    file = io.BytesIO()
    soundfile.write(file, value, rate, format="WAV", subtype=subtype)
    return file.getvalue()
