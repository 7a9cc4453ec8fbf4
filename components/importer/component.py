"""Importer: brings a model that was trained elsewhere into the pipeline, in place of the Trainer."""

from collections.abc import Mapping
from typing import ClassVar

from etils import epath

from components import base, file_digests
from components.importer.config import ImporterConfig
from components.importer.model_folder import FILES, read_model_config


class Importer(base.Component[ImporterConfig]):
    """Copies the files of a model, so that later changes to its folder do not affect the run."""

    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {"model": base.ArtifactType.MODEL}
    Config = ImporterConfig
    executor = "components.importer.executor"
    version: ClassVar[int] = 1

    def check(self) -> None:
        read_model_config(self.config.model)

    def external_digests(self) -> Mapping[str, str]:
        return {"model": file_digests.content_digest(epath.Path(self.config.model), names=FILES)}

    def read_paths(self) -> Mapping[str, str]:
        return {"model": self.config.model}
