"""Embedder: turns the examples into embeddings, once for all that is asked of them later."""

from collections import Counter
from collections.abc import Mapping
from typing import ClassVar

from etils import epath

from beam_jobs import storage
from components import base, file_digests
from components.embedder import baselines, evaluated
from components.embedder.config import EmbedderConfig
from components.embedder.loaders import TRAINED, UNTRAINED
from components.errors import UserError


class Embedder(base.Component[EmbedderConfig]):
    """Embeds the clips with the SavedModel, its untrained encoders and the baselines.

    Writes a folder for each embedder and `embeddings.json`; see `beam_jobs.embedding`.
    """

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "examples": base.ArtifactType.EXAMPLES,
        "model": base.ArtifactType.MODEL,
        "saved_model": base.ArtifactType.MODEL,
    }
    optional_inputs: ClassVar[frozenset[str]] = frozenset({"model", "saved_model"})
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {"embeddings": base.ArtifactType.EMBEDDINGS}
    Config = EmbedderConfig
    executor = "components.embedder.executor"
    version: ClassVar[int] = 1
    shows: ClassVar[Mapping[base.Tab, str]] = {
        "text": "what was embedded, neighbors",
        "images": "norms, variance, neighbors",
        "audio": "neighbors to hear",
        "projector": "clips as points, with pictures",
    }

    @property
    def libraries(self) -> tuple[str, ...]:
        """Those that embed, and soxr, which resamples for embedders of another sample rate."""
        of_onnx = ("onnxruntime",) if any(map(baselines.is_onnx, self.read_paths().values())) else ()
        return ("keras", "soxr", "tensorflow", *of_onnx)

    def check(self) -> None:
        if self.config.model is not None:
            try:
                evaluated.loader(self.config.model)
            except UserError as error:
                raise UserError(f"embedder.model: {error}") from error
        names = Counter((TRAINED, UNTRAINED))
        for spec in self.config.baselines:
            try:
                names[baselines.parse(spec, framing=evaluated.ANY_FRAMING).name] += 1
            except UserError as error:
                raise UserError(f"embedder.baselines: {error}") from error
        for name, count in names.items():
            if count > 1:
                raise UserError(f"embedder.baselines: {name} is the name of two embedders: rename or remove one.")

    def external_digests(self) -> Mapping[str, str]:
        digests = {}
        for key, (spec, path) in self._paths().items():
            beside = [file for file in baselines.files_beside(spec, path) if epath.Path(file).exists()]
            digests[key] = "".join(map(_content_digest, (path, *beside)))
        return digests

    def read_paths(self) -> Mapping[str, str]:
        return {key.partition("=")[0]: path for key, (_, path) in self._paths().items()}

    def _paths(self) -> dict[str, tuple[str, str]]:
        """Returns what the config names and its path, by the baseline, or by the field of a model."""
        paths = {spec: (spec, spec.partition("=")[2]) for spec in self.config.baselines}
        model = self.config.model or ""
        paths["model"] = (model, model.partition("=")[2] if evaluated.is_spec(model) else model)
        untrained = self.config.untrained_model or ""
        paths["untrained_model"] = (untrained, untrained)
        return {key: (spec, path) for key, (spec, path) in paths.items() if path}


def _content_digest(path: str) -> str:
    """Returns a digest of a file, or of a folder and all below it."""
    place = epath.Path(storage.canonical(path))
    names = storage.file_sizes(place) if storage.is_folder(place) else [""]
    return file_digests.content_digest(place, names=names)
