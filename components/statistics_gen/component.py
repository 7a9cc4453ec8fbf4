"""StatisticsGen: durations, levels, classes, source formats and log-mel bands of each split, and near duplicates."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

import pydantic
from etils import epath

from components import base
from components.errors import UserError

if TYPE_CHECKING:
    from beam_jobs.examples import ExamplesInfo


class StatisticsGenConfig(base.StageConfig):
    """How to run the statistics job."""

    incidental: ClassVar[frozenset[str]] = frozenset({"beam_args"})

    players: int = pydantic.Field(20, ge=0, description="Clips of each split to hear and see in TensorBoard.")
    beam_args: tuple[str, ...] = pydantic.Field(
        (), description="Beam's own flags, e.g. --runner=DataflowRunner; none for threads on this machine."
    )


class StatisticsGen(base.Component):
    """Writes `statistics.json` (see `beam_jobs.statistics.job`)."""

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {"examples": base.ArtifactType.EXAMPLES}
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {"statistics": base.ArtifactType.EXAMPLE_STATISTICS}
    Config = StatisticsGenConfig
    code: ClassVar[tuple[str, ...]] = (
        "beam_jobs.audio.levels",
        "beam_jobs.audio.log_mel",
        "beam_jobs.examples",
        "beam_jobs.runners",
        "beam_jobs.statistics",
    )

    def execute(
        self,
        *,
        inputs: Mapping[str, epath.Path],
        outputs: Mapping[str, epath.Path],
        context: base.StageContext,
    ) -> base.StageResult:
        from beam_jobs import examples, runners
        from beam_jobs.statistics import job as statistics
        from components import watching
        from components.statistics_gen import summaries

        info = examples.read_info(inputs["examples"])
        clips = sum(info.splits.values())
        path, seen = outputs["statistics"] / "statistics.json", context.work_dir / "seen"
        if seen.exists():  # of a run that was stopped
            seen.rmtree()
        seen.mkdir()
        try:
            with watching.watching(seen, _look(info, seen=seen, context=context)):
                statistics.compute(info, output=str(path), seen=seen, beam_args=self.config.beam_args)
        except runners.OptionsError as error:
            raise UserError(f"statistics_gen.beam_args: {error}") from error
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


def _look(info: "ExamplesInfo", *, seen: epath.Path, context: base.StageContext) -> Callable[[], None]:
    """Reports the clips of the files that have been read so far."""
    lengths = {
        epath.Path(path).name: count
        for split in info.splits
        for path, count in zip(info.files(split), info.shard_lengths[split], strict=True)
    }

    def look() -> None:
        done = sum(lengths[path.name] for path in seen.iterdir())
        context.progress.update(done, total=sum(lengths.values()), unit="clips")

    return look
