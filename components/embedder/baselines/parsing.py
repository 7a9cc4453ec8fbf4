"""Turns what a user gives to name a baseline into a loader."""

import os
from collections.abc import Callable, Mapping

from etils import epath

from beam_jobs import storage
from beam_jobs.embedding.embedder import Framing, Loader
from components.embedder.baselines import loaders, options, packages
from components.embedder.baselines import spec as specs
from components.embedder.baselines.spec import Spec
from components.errors import UserError
from models.formats import FORMATS

KNOWN: Mapping[str, str] = {
    "mfcc_mean_std": "mean and standard deviation of MFCCs over time",
    "log_mel_mean_std": "the same of log-mel bands",
    "random_projection": "a random projection of the mean log-mel spectrum, the naive baseline of HEAR",
    "panns=FOLDER": "a network of PANNs that `diptych import-panns` wrote",
    "musicnn=WHEEL": "a music tagger from musicnn-0.1.0-py3-none-any.whl, trained on MagnaTagATune; "
    f"musicnn:NETWORK=WHEEL takes another of {', '.join(options.MUSICNN_OUTPUTS)}",
    "speech_embedding=WHEEL": "Google's speech_embedding from the wheel of pyopen-wakeword 1.1.0",
    "NAME=PATH": "any SavedModel, TFLite or ONNX file that maps waveforms to vectors, under a name of your choice; "
    "NAME:OUTPUT@RATE=PATH names one of its outputs and its sample rate in Hz",
}
"""What a user may give -> what it is."""

HELP = "; ".join(f"{form}: {meaning}" for form, meaning in KNOWN.items())
"""For the help of a flag or a field."""

_FORMS = ", ".join(KNOWN)
_PANNS_FILE, _SAVED_MODEL_FILE, _TFLITE_MARK, _ONNX_SUFFIX = "model.keras", "saved_model.pb", b"TFL3", ".onnx"
# Names of the compared model, of its untrained self and of the sets of features, which would be ambiguous in a table.
_TAKEN = {"trained", "untrained", "both", "embedding", *(name + end for name in FORMATS for end in ("", "_a", "_b"))}


def parse(spec: str, *, framing: Framing) -> Loader:
    """Returns the loader of a baseline.

    Args:
        spec: One of the forms of `KNOWN`.
        framing: The windows of the compared model. Baselines that take windows of any length take these, at their own
            sample rate.

    Raises:
        UserError: There is no such baseline, or its path is missing or leads to something else.
    """
    given = specs.read(spec)
    if given.name in _TAKEN:
        raise UserError(f"baseline {spec!r}: {given.name} is a name of the model that is compared: give another name.")
    if given.name in _WITHOUT_PATH:
        if given.left_side != given.name or given.path is not None:
            raise UserError(f"baseline {spec!r}: {given.name} takes nothing else: give {given.name}.")
        return _WITHOUT_PATH[given.name](name=given.name, framing=framing)
    if given.path is None:
        what = "needs a path" if given.name in _WITH_PATH else "is not known"
        raise UserError(f"baseline {spec!r}: {given.name} {what}: give one of {_FORMS}.")
    if not epath.Path(given.path).exists():
        raise UserError(f"baseline {spec!r}: there is no {given.path}: give the path of the model.")
    return _WITH_PATH.get(given.name, _foreign)(given, framing)


def files_beside(spec: str, path: str) -> list[str]:
    """Returns the files that a baseline reads beside the one that its path names.

    Args:
        spec: The baseline.
        path: Its path.
    """
    folder, name = os.path.split(path)
    if spec.partition("=")[0] != "speech_embedding" or name not in options.SPEECH_FILES:
        return []
    return [os.path.join(folder, other) for other in options.SPEECH_FILES if other != name]


def is_onnx(path: str) -> bool:
    """Returns whether a file is an ONNX model by its name; nothing in these files marks them."""
    return path.lower().endswith(_ONNX_SUFFIX)


def _panns(given: Spec, framing: Framing) -> Loader:
    _refuse(given, choice=True, sample_rate=True)
    file = epath.Path(given.path) / _PANNS_FILE
    if not file.exists():
        raise UserError(f"{given.path} has no {_PANNS_FILE}: give the folder that `diptych import-panns` wrote.")
    return loaders.Panns(name=given.name, file=os.fspath(file))


def _musicnn(given: Spec, framing: Framing) -> Loader:
    _refuse(given, sample_rate=True)
    network = given.choice or next(iter(options.MUSICNN_OUTPUTS))
    if network not in options.MUSICNN_OUTPUTS:
        raise UserError(f"musicnn has no network {network!r}: choose one of {', '.join(options.MUSICNN_OUTPUTS)}.")
    packages.find(given.path, options.musicnn_files(network))
    # Several of the networks may be compared at a time, and each needs a name of its own.
    name = given.name if given.choice is None else f"{given.name}_{network}"
    return loaders.Musicnn(name=name, package=given.path, network=network)


def _speech_embedding(given: Spec, framing: Framing) -> Loader:
    _refuse(given, choice=True, sample_rate=True)
    path = epath.Path(given.path)
    package = os.fspath(path.parent) if path.name in options.SPEECH_FILES else given.path
    packages.find(package, options.SPEECH_FILES)
    return loaders.SpeechEmbedding(name=given.name, package=package, framing=framing)


def _foreign(given: Spec, framing: Framing) -> Loader:
    path = epath.Path(given.path)
    if not storage.is_folder(path):
        try:
            with path.open("rb") as file:
                is_tflite = file.read(8)[4:] == _TFLITE_MARK
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(f"{given.path} cannot be read ({reason}): repair it, or name another model.") from error
        if is_tflite:
            return loaders.Foreign(spec=given, framing=framing, form="tflite")
        if is_onnx(given.path):
            return loaders.Foreign(spec=given, framing=framing, form="onnx")
    elif (path / _SAVED_MODEL_FILE).exists():
        return loaders.Foreign(spec=given, framing=framing, form="saved_model")
    raise UserError(
        f"{given.path} is neither the folder of a SavedModel, with a {_SAVED_MODEL_FILE}, nor a TFLite or "
        f"{_ONNX_SUFFIX} file: name one of these."
    )


def _refuse(given: Spec, *, choice: bool = False, sample_rate: bool = False) -> None:
    """Refuses the parts of a spec that its kind of baseline does not take.

    Raises:
        UserError: It has one.
    """
    if (choice and given.choice is not None) or (sample_rate and given.sample_rate is not None):
        raise UserError(f"baseline {given.left_side!r} has more parts than it can: give {given.name}={given.path}.")


_WITHOUT_PATH = {
    "mfcc_mean_std": loaders.Statistics,
    "log_mel_mean_std": loaders.Statistics,
    "random_projection": loaders.RandomProjection,
}
_WITH_PATH: Mapping[str, Callable[[Spec, Framing], Loader]] = {
    "panns": _panns,
    "musicnn": _musicnn,
    "speech_embedding": _speech_embedding,
}
