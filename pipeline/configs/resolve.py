"""Builds the config of a run from a preset, a file and what the user gave on the command line."""

from collections.abc import Sequence

from components.errors import UserError
from components.importer import read_model_config
from pipeline import paths
from pipeline.configs import config_file, overrides, presets
from pipeline.configs.config import PipelineConfig


def resolve(
    preset: str | None,
    *,
    file: str | None = None,
    data: str | None = None,
    imported: str | None = None,
    max_quarantine: str | None = None,
    assignments: Sequence[str] = (),
) -> PipelineConfig:
    """Returns the config of a preset with the changes that the arguments ask for, in this order.

    Args:
        preset: Name of the preset; None to start from the default config.
        file: A JSON file whose fields replace those of the preset, or None.
        data: Audio that replaces a generated corpus, or None.
        imported: Folder of a model that replaces the Trainer's, or None. The sample rate becomes that of the model.
        max_quarantine: Value of `audio_example_gen.max_quarantine` as typed, or None.
        assignments: Overrides such as "trainer.steps=100".

    Raises:
        UserError: There is no such preset, file or field, or a value does not fit.
    """
    config = PipelineConfig() if preset is None else presets.config(preset)
    if file is not None:
        config = config_file.apply(config, paths.absolute(file))
    if data == "":
        raise UserError("--data is empty: give the folder of your audio.")
    if data is not None:
        source = paths.absolute(data)
        config = overrides.replace(config, {"synthetic_audio_gen": None, "audio_example_gen.source": source})
    if imported == "":
        raise UserError("--import is empty: give the folder of a model.")
    if imported is not None:
        model = paths.absolute(imported)
        sample_rate = read_model_config(model)["sample_rate"]
        config = overrides.replace(config, {"importer.model": model, "audio_example_gen.sample_rate": sample_rate})
    config = overrides.override(config, assignments)
    if max_quarantine is not None:
        config = overrides.override(config, [f"audio_example_gen.max_quarantine={max_quarantine}"])
    return config
