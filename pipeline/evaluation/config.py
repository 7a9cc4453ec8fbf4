"""The config of an evaluation, and how it follows from what the user gave."""

import os
from collections.abc import Sequence

from etils import epath

from beam_jobs import sources
from beam_jobs.sources import class_folders
from components.audio_example_gen import AudioExampleGenConfig
from components.base import StageConfig
from components.embedder import EmbedderConfig, evaluated
from components.errors import UserError
from components.evaluator import EvaluatorConfig
from components.statistics_gen import StatisticsGenConfig
from diptych import bundled
from pipeline import paths
from pipeline.configs import overrides
from pipeline.evaluation import lineage
from pipeline.serving.embedding import exported_model


class EvaluationConfig(StageConfig):
    """What `diptych evaluate` runs. The sections are those of `diptych run`."""

    audio_example_gen: AudioExampleGenConfig = AudioExampleGenConfig()
    statistics_gen: StatisticsGenConfig = StatisticsGenConfig()
    embedder: EmbedderConfig = EmbedderConfig()
    evaluator: EvaluatorConfig = EvaluatorConfig()


def resolve(
    *, model: str, data: str, baselines: Sequence[str] = (), assignments: Sequence[str] = ()
) -> EvaluationConfig:
    """Returns the config of an evaluation.

    Recordings stay whole, so that no two clips of one are on both sides of a test.

    Args:
        model: See `components.embedder.evaluated.loader` and `exported_model.place`.
        data: Labeled audio: anything that `diptych run --data` takes, or a folder with a sub-folder for each class.
        baselines: What to compare the model with, besides the default ones.
        assignments: Overrides such as "evaluator.probe=linear".

    Raises:
        UserError: There is no such model or audio, the audio has no labels, or a value does not fit.
    """
    source = paths.absolute(data)
    layout = labeled_layout(source, given=data)
    place = exported_model.place(paths.absolute(model) if os.path.exists(os.path.expanduser(model)) else model)
    try:
        loader = evaluated.loader(place)
    except UserError as error:
        also = "" if "=" in place or os.path.exists(place) else bundled.choices()
        raise UserError(f"--model: {error}{also}") from error
    if evaluated.is_own(place):
        exported_model.ExportedModel(place).check()
    defaults = EmbedderConfig().baselines
    config = overrides.replace(
        EvaluationConfig(),
        {
            "audio_example_gen.source": source,
            "audio_example_gen.layout": layout,
            "audio_example_gen.max_clip_seconds": None,
            "audio_example_gen.sample_rate": evaluated.framing(loader).sample_rate,
            "embedder.model": place,
            "embedder.untrained_model": lineage.untrained_model(place),
            "embedder.baselines": [*defaults, *(spec for spec in baselines if spec not in defaults)],
        },
    )
    return overrides.override(config, assignments)


def labeled_layout(source: str, *, given: str) -> str:
    """Returns the layout of labeled audio. A folder without lists must have a sub-folder for each class.

    Args:
        source: An absolute path or a URL.
        given: The same as the user spelled it.

    Raises:
        UserError: There is no such audio, or it has no labels.
    """
    try:
        listing = sources.list_clips(epath.Path(source))
    except sources.SourceError as error:
        raise UserError(f"--data: {error}") from error
    if listing.label_names:
        return listing.layout
    if listing.layout == "folder":
        try:
            return sources.list_clips(epath.Path(source), layout=class_folders.LAYOUT).layout
        except sources.SourceError:
            pass
    raise UserError(
        f"--data {given} has no labels ({listing.no_labels or 'its records name no class'}), and an evaluation needs "
        "them: give a folder with a sub-folder for each class, a manifest with the column labels, ESC-50, AudioSet or "
        "a TFDS dataset with classes"
    )
