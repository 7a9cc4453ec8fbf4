"""A TFDS dataset with an Audio feature, as `tfds.builder_from_directory` opens it.

Listing reads its metadata only: audio, labels and ids lie side by side in the records, and stay there until the output
shard that needs them reads its own slice.
"""

import bisect
import dataclasses
import io
import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from etils import epath

from beam_jobs import examples
from beam_jobs.audio import DecodeError
from beam_jobs.sources.clips import Clip, Listing, SourceError, counted, split_of

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

# What the dataset itself calls a record: the first of these texts that is there.
_ID_FEATURES = ("clip_id", "id", "audio/id", "audio/filename", "filename", "file_name", "path")
_SPLITS = {"train": "train", "val": "valid", "dev": "valid", "test": "eval", "eval": "eval"}


def is_dataset(folder: epath.Path) -> bool:
    """Whether the folder holds TFDS metadata."""
    return (folder / "dataset_info.json").exists() and (folder / "features.json").exists()


def list_clips(folder: epath.Path) -> Listing:
    """The records of a TFDS dataset, in the order on disk, without their labels.

    Splits are taken by the beginning of their names: test and eval as they are, valid and dev as valid; of train, 5 %
    become valid by a hash of the clip id if the dataset has no split for that.

    Raises:
        SourceError: if the dataset does not open, has no audio or several, or does not say the sample rate.
    """
    builder = _builder(folder)
    name = _audio_name(builder.info.features, folder=folder)
    if not builder.info.features[name].sample_rate and not _is_encoded(builder.info.features[name]):
        raise SourceError(f"{folder}/features.json gives no sample rate of '{name}'; add sampleRate to it")
    ours = {split: _split_name(split) for split in builder.info.splits}
    clips = []
    for split, info in builder.info.splits.items():
        for record in range(info.num_examples if ours[split] else 0):
            clip_id = f"{split}/{record}"
            drawn = split_of(clip_id) if ours[split] == "train" and "valid" not in ours.values() else ours[split]
            clips.append(Clip(clip_id=clip_id, path=split, record=record, split=drawn))
    other = {f"records of the split '{s}'": i.num_examples for s, i in builder.info.splits.items() if not ours[s]}
    label = _label_name(builder.info.features)
    return Listing(
        root=str(folder),
        clips=clips,
        label_names=tuple(_class_label(builder.info.features[label]).names) if label else (),
        layout="tfds",
        left_out=counted(other),
    )


def read(folder: epath.PathLike, clips: Sequence[Clip]) -> Iterator[tuple[Clip, bytes | DecodeError]]:
    """Reads the records of some clips, each slice between the first and the last of them once.

    Args:
        folder: The dataset.
        clips: Of `list_clips`, in its order.

    Yields:
        Every clip in its order, with its labels, and with `path` telling the record and the dataset's own id; and the
        bytes of an audio file: the one that the record holds (`lazy_decode`), else a WAV of its samples. A DecodeError
        in place of them where the record cannot be read.
    """
    builder = _builder(epath.Path(folder))
    for split, members in itertools.groupby(clips, key=lambda clip: clip.path):
        ends = list(itertools.accumulate(builder.info.splits[split].shard_lengths))
        for _, part in itertools.groupby(members, key=lambda clip: bisect.bisect_right(ends, clip.record)):
            yield from _read_slice(builder, split, list(part))


def _read_slice(
    builder: "tfds.core.DatasetBuilder", split: str, clips: list[Clip]
) -> Iterator[tuple[Clip, bytes | DecodeError]]:
    """Reads clips of one file; a damaged TFRecord ends there, so that the clips behind the damage are lost."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    features = builder.info.features
    name, label = _audio_name(features, folder=builder.data_dir), _label_name(features)
    texts = [n for n, feature in features.items() if isinstance(feature, tfds.features.Text)]
    own_id = next((n for n in _ID_FEATURES if n in texts), None)
    decoders = {name: tfds.decode.SkipDecoding()} if _is_encoded(features[name]) else None
    wanted = {feature: True for feature in (name, label, own_id) if feature}
    first = clips[0].record
    records = builder.as_dataset(
        split=tfds.core.ReadInstruction(split, from_=first, to=clips[-1].record + 1, unit="abs"),
        decoders=tfds.decode.PartialDecoding(wanted, decoders=decoders),
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
        shuffle_files=False,
    )
    # Between the clips of the valid split lie twenty times as many of train.
    is_wanted = np.zeros(clips[-1].record + 1 - first, bool)
    is_wanted[[clip.record - first for clip in clips]] = True
    records = tf.data.Dataset.zip(tf.data.Dataset.from_tensor_slices(is_wanted), records)
    records = records.filter(lambda keep, _: keep).map(lambda _, record: record).as_numpy_iterator()
    names = _class_label(features[label]).names if label else ()
    for i, clip in enumerate(clips):
        try:
            record = next(records)
        except (tf.errors.OpError, StopIteration) as error:
            reason = getattr(error, "message", "").partition("\n")[0] or "the file ends before this record"
            for lost in clips[i:]:
                yield _described(lost), DecodeError("unreadable", reason)
            return
        numbers = dict.fromkeys(np.atleast_1d(record[label]).tolist()) if label else ()
        labels = tuple(names[number] for number in numbers if number >= 0)
        own = record[own_id].decode(errors="replace") if own_id else ""
        yield _described(clip, own, labels=labels), _sound(record[name], rate=features[name].sample_rate)


def _described(clip: Clip, own_id: str = "", *, labels: tuple[str, ...] = ()) -> Clip:
    return dataclasses.replace(clip, path=f"{clip.path}[{clip.record}] {own_id}".rstrip(), labels=labels)


def _sound(value: bytes | np.ndarray, *, rate: int) -> bytes | DecodeError:
    import soundfile

    if isinstance(value, bytes):
        return value
    if value.dtype == np.uint8:
        value = (value.astype(np.int16) - 128) * 2**8
    elif value.dtype.kind == "i":
        # TFDS stores 16-bit audio as wider integers, too (int64 unless told otherwise), and other audio likewise.
        if value.size and not -(2**15) <= value.min() <= value.max() < 2**15:
            return DecodeError("unreadable", f"holds {value.dtype} samples beyond 16 bits, of no known full scale")
        value = value.astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, value, rate, format="WAV", subtype="FLOAT" if value.dtype.kind == "f" else "PCM_16")
    return file.getvalue()


def _builder(folder: epath.Path) -> "tfds.core.DatasetBuilder":
    import tensorflow_datasets as tfds

    try:
        with examples.quiet_tfds():
            return tfds.builder_from_directory(folder)
    except Exception as error:  # whatever its JSON, version and registered features run into
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SourceError(f"{folder} does not open as a TFDS dataset ({reason}); prepare it anew") from error


def _split_name(name: str) -> str:
    """What a split of the dataset is to us; "" for nothing."""
    return next((ours for start, ours in _SPLITS.items() if name.startswith(start)), "")


def _audio_name(features: "tfds.features.FeaturesDict", *, folder: epath.PathLike) -> str:
    import tensorflow_datasets as tfds

    names = [name for name, feature in features.items() if isinstance(feature, tfds.features.Audio)]
    if "audio" in names:
        return "audio"
    if len(names) != 1:
        found = f"{len(names)} Audio features, none of them named 'audio'" if names else "no Audio feature"
        raise SourceError(f"the TFDS dataset in {folder} has {found}; give one with one")
    return names[0]


def _is_encoded(feature: "tfds.features.Audio") -> bool:
    """Whether the records hold files as they were (FLAC...) rather than samples."""
    return feature.to_json_content().lazy_decode


def _label_name(features: "tfds.features.FeaturesDict") -> str | None:
    """The feature of classes: `label` or `labels`, else the only one there is."""
    import tensorflow_datasets as tfds

    names = [n for n, feature in features.items() if isinstance(_class_label(feature), tfds.features.ClassLabel)]
    return next((n for n in ("label", "labels") if n in names), names[0] if len(names) == 1 else None)


def _class_label(feature: "tfds.features.FeatureConnector") -> "tfds.features.FeatureConnector":
    """The feature itself, or that of the items of a sequence."""
    return getattr(feature, "feature", feature)
