"""Lists the records of a TFDS dataset with an Audio feature, as `tfds.builder_from_directory` opens it.

Listing reads the dataset's metadata only. Labels and ids are stored in the records beside the audio, so `tfds_reader`
reads them together with the audio.
"""

import dataclasses

import tensorflow_datasets as tfds
from etils import epath

from beam_jobs import error_text, examples
from beam_jobs.sources.clips import Clip, Listing, SourceError, nonzero
from beam_jobs.sources.splits import split_of

_ID_FEATURES = ("clip_id", "id", "audio/id", "audio/filename", "filename", "file_name", "path")
"""Text features that may hold the dataset's own id of a record, the most specific first."""
_SPLITS = {"train": "train", "val": "valid", "dev": "valid", "test": "eval", "eval": "eval"}
"""Beginning of a split's name in the dataset -> the split here."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AudioDataset:
    """A TFDS dataset and the names of the features that are read.

    Attributes:
        builder: The dataset as TFDS opens it.
        audio_name: Feature with the audio.
        label_name: Feature with the classes; None if there is none.
        label_names: Display names of the classes in index order; empty if there is no such feature.
        id_name: Feature with the dataset's own id of a record; None if there is none.
    """

    builder: tfds.core.DatasetBuilder
    audio_name: str
    label_name: str | None
    label_names: tuple[str, ...]
    id_name: str | None

    @property
    def sample_rate(self) -> int | None:
        return self.builder.info.features[self.audio_name].sample_rate

    @property
    def is_encoded(self) -> bool:
        """Whether the records hold encoded files (e.g. FLAC) instead of samples."""
        return self.builder.info.features[self.audio_name].to_json_content().lazy_decode


def open_dataset(folder: epath.PathLike) -> AudioDataset:
    """Opens a TFDS dataset and chooses the features to read.

    Raises:
        SourceError: the dataset does not open, has no Audio feature, or has several and none is named "audio".
    """
    try:
        with examples.quiet_tfds():
            builder = tfds.builder_from_directory(epath.Path(folder))
    except Exception as error:  # The dataset's JSON, version or registered features may raise anything.
        reason = error_text.first_line(error)
        raise SourceError(f"{folder} does not open as a TFDS dataset ({reason}); prepare it again") from error
    features = builder.info.features
    label_name = _label_name(features)
    label_names = () if label_name is None else tuple(_item_feature(features[label_name]).names)
    texts = {name for name, feature in features.items() if isinstance(feature, tfds.features.Text)}
    return AudioDataset(
        builder=builder,
        audio_name=_audio_name(features, folder=folder),
        label_name=label_name,
        label_names=label_names,
        id_name=next((name for name in _ID_FEATURES if name in texts), None),
    )


def list_clips(folder: epath.Path) -> Listing:
    """Lists the records of a TFDS dataset in their order on disk, without their labels.

    The beginning of a split's name decides what it is here: "test" and "eval" are the eval split, "val" and "dev" the
    valid split. If the dataset has no valid split, a hash of the clip id moves 5 % of the train split there. Other
    splits are ignored.

    Raises:
        SourceError: the dataset does not open, gives no sample rate, leaves open which feature is the audio, or has
            other splits only.
    """
    dataset = open_dataset(folder)
    if not dataset.sample_rate and not dataset.is_encoded:
        raise SourceError(
            f"{folder}/features.json gives no sample rate for '{dataset.audio_name}'; add sampleRate to it"
        )
    sizes = {name: info.num_examples for name, info in dataset.builder.info.splits.items()}
    splits = {name: _split_of_name(name) for name in sizes}
    if sizes and not any(splits.values()):
        raise SourceError(
            f"no split of the TFDS dataset in {folder} is read ({', '.join(sizes)}), because names of splits must "
            f"begin with {', '.join(_SPLITS)}; prepare the dataset with such names"
        )
    has_valid = "valid" in splits.values()
    clips, ignored = [], {}
    for name, size in sizes.items():
        if splits[name] is None:
            ignored[f"records of the split '{name}'"] = size
            continue
        for record in range(size):
            clip_id = f"{name}/{record}"
            is_drawn = splits[name] == "train" and not has_valid
            split = split_of(clip_id) if is_drawn else splits[name]
            clips.append(Clip(clip_id=clip_id, path=name, record=record, split=split))
    return Listing(
        root=str(folder),
        clips=clips,
        label_names=dataset.label_names,
        layout="tfds",
        ignored=nonzero(ignored),
    )


def _split_of_name(name: str) -> str | None:
    return next((split for beginning, split in _SPLITS.items() if name.startswith(beginning)), None)


def _audio_name(features: tfds.features.FeaturesDict, *, folder: epath.PathLike) -> str:
    """Returns the audio feature: the one named "audio", otherwise the only one."""
    names = [name for name, feature in features.items() if isinstance(feature, tfds.features.Audio)]
    if "audio" in names:
        return "audio"
    if not names:
        raise SourceError(f"the TFDS dataset in {folder} has no Audio feature; give a dataset that has one")
    if len(names) > 1:
        raise SourceError(
            f"the TFDS dataset in {folder} has {len(names)} Audio features, none of them named 'audio'; give a dataset "
            "with one"
        )
    return names[0]


def _label_name(features: tfds.features.FeaturesDict) -> str | None:
    """Returns the class feature: `label` or `labels`, otherwise the only one."""
    names = [name for name, feature in features.items() if isinstance(_item_feature(feature), tfds.features.ClassLabel)]
    for name in ("label", "labels"):
        if name in names:
            return name
    return names[0] if len(names) == 1 else None


def _item_feature(feature: tfds.features.FeatureConnector) -> tfds.features.FeatureConnector:
    """Returns the feature of a sequence's items; a feature that is not a sequence is its own."""
    return getattr(feature, "feature", feature)
