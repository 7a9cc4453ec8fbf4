"""StatisticsGen: durations, levels, classes, source formats and log-mel bands of each split, and near duplicates."""

import json
from collections.abc import Mapping
from typing import ClassVar

import pydantic
from etils import epath

from components import base
from components.errors import UserError


class StatisticsGenConfig(base.StageConfig):
    """How to run the statistics job."""

    incidental: ClassVar[frozenset[str]] = frozenset({"beam_args"})

    players: int = pydantic.Field(20, ge=0, description="Clips of each split to hear and see in TensorBoard.")
    beam_args: tuple[str, ...] = pydantic.Field(
        (), description="Beam's own flags, e.g. --runner=DataflowRunner; none for threads on this machine."
    )


class StatisticsGen(base.Component):
    """Writes `statistics.json` (see `beam_jobs.statistics`)."""

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {"examples": base.ArtifactType.EXAMPLES}
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {"statistics": base.ArtifactType.EXAMPLE_STATISTICS}
    Config = StatisticsGenConfig
    code: ClassVar[tuple[str, ...]] = (
        "beam_jobs.examples",
        "beam_jobs.fingerprints",
        "beam_jobs.levels",
        "beam_jobs.log_mel",
        "beam_jobs.runners",
        "beam_jobs.statistics",
        "beam_jobs.sums",
    )

    def execute(
        self,
        *,
        inputs: Mapping[str, epath.Path],
        outputs: Mapping[str, epath.Path],
        context: base.StageContext,
    ) -> base.StageResult:
        from beam_jobs import examples, runners, statistics
        from components.statistics_gen import summaries

        info = examples.read_info(inputs["examples"])
        clips = sum(info.splits.values())
        context.progress.update(0, total=clips, unit="clips")
        path = outputs["statistics"] / "statistics.json"
        try:
            statistics.compute(info, output=str(path), beam_args=self.config.beam_args)
        except runners.OptionsError as error:
            raise UserError(f"statistics_gen.beam_args: {error}") from error
        context.progress.update(clips, total=clips, unit="clips")
        document = json.loads(path.read_text())
        summaries.write(document, info=info, directory=context.tensorboard_dir, players=self.config.players)
        splits = document["splits"].values()
        hours = sum(split["seconds"] for split in splits) / 3600
        level = sum(split["mean_level_dbfs"] * split["clips"] for split in splits) / clips
        silent = sum(split["silent_clips"] for split in splits)
        pairs = sum(entry["pairs"] for entry in document["near_duplicates"])
        alike = f", {pairs:,} near duplicate{'s' * (pairs != 1)} between splits" if pairs else ""
        sound = f"{hours:.2f} h, mean level {level:.1f} dBFS, {silent:,} silent"
        return base.StageResult(
            summary=f"{sound}, {len(info.label_names)} classes{alike}",
            figures={
                "hours": round(hours, 4),
                "mean_level_dbfs": round(level, 2),
                "silent_clips": silent,
                "near_duplicates": pairs,
            },
        )
