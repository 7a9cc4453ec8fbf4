"""Executes the Importer: copies the files of the model."""

from collections.abc import Mapping

from etils import epath

from components import base
from components.importer.config import ImporterConfig
from components.importer.model_folder import FILES, check_checksums, read_model_config


def execute(
    config: ImporterConfig,
    *,
    inputs: Mapping[str, epath.Path],
    outputs: Mapping[str, epath.Path],
    context: base.StageContext,
) -> base.StageResult:
    """Copies the model and says which encoders it has.

    Raises:
        DamagedFile: A file of the model is damaged.
    """
    for count, name in enumerate(FILES):
        context.progress.update(count, total=len(FILES), unit="files")
        (epath.Path(config.model) / name).copy(outputs["model"] / name)
    check_checksums(outputs["model"])
    model = read_model_config(config.model)
    formats = dict.fromkeys(model["formats"])
    encoders = ", ".join(f"{model['encoders'][name]} on {name}" for name in formats)
    return base.StageResult(summary=f"{encoders} at {model['sample_rate']:,} Hz")
