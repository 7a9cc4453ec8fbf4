"""Executes the Embedder: runs the Beam job, publishes its files and describes them."""

from collections.abc import Callable, Mapping, Sequence

from etils import epath

from beam_jobs import error_text, examples, runners
from beam_jobs.embedding import job, plan, publish, records
from beam_jobs.embedding.embedder import Loader
from beam_jobs.embedding.info import EmbeddingsInfo
from beam_jobs.embedding.shared import SharedEmbedders
from beam_jobs.embedding.write import UnusableVectorsError
from components import base, text, watching
from components.embedder import baselines, evaluated, summaries
from components.embedder.config import EmbedderConfig
from components.embedder.loaders import TRAINED, TrainedLoader, UntrainedLoader
from components.errors import UserError


def execute(
    config: EmbedderConfig,
    *,
    inputs: Mapping[str, epath.Path],
    outputs: Mapping[str, epath.Path],
    context: base.StageContext,
) -> base.StageResult:
    """Embeds the examples.

    Raises:
        UserError: An embedder cannot be loaded or gives vectors that cannot be stored, Beam does not accept its flags,
            its workers run other code, or a job of an earlier run may still be running elsewhere.
    """
    info = examples.read_info(inputs["examples"])
    loaders = _loaders(config, inputs)
    embedders = SharedEmbedders(loaders)
    embedding_job = job.Job(
        info=info,
        embedders=embedders,
        digests={loader.name: loader.digest() for loader in loaders},
        limits={loader.name: _limit(config, loader.name) for loader in loaders},
        row=config.row,
        batch_size=config.batch_size,
    )
    try:
        for name in embedders.names:  # Errors of loading are told in one sentence here, and not as those of the job.
            embedders.get(name)
        finished = _write_shards(config, embedding_job, context=context)
        embeddings = publish.publish(embedding_job, finished, work=context.work_dir, output=outputs["embeddings"])
    except publish.LostFileError as error:
        raise UserError(str(error)) from error
    finally:
        embedders.close()
    summaries.write(outputs["embeddings"], embedding_job, directory=context.tensorboard_dir)
    return _result(embeddings)


def _loaders(config: EmbedderConfig, inputs: Mapping[str, epath.Path]) -> list[Loader]:
    if config.model is None:
        trained: Loader = TrainedLoader(str(inputs["saved_model"]))
        untrained = str(inputs["model"])
    else:
        trained = evaluated.loader(config.model)
        untrained = config.untrained_model
    framing = evaluated.framing(trained)
    others = [baselines.parse(spec, framing=framing) for spec in config.baselines]
    return [trained, *([UntrainedLoader(untrained)] if untrained else []), *others]


def _limit(config: EmbedderConfig, embedder: str) -> int | None:
    """Returns the maximum number of clips of each split that an embedder embeds; None for all."""
    limits = [config.max_clips, None if embedder == TRAINED else config.baseline_max_clips]
    return min((limit for limit in limits if limit is not None), default=None)


def _write_shards(
    config: EmbedderConfig, embedding_job: job.Job, *, context: base.StageContext
) -> list[records.ShardRecord]:
    """Runs the Beam job, which skips the files that an interrupted job has left in the work folder."""
    work = context.work_dir
    try:
        with watching.watching(work, _progress_reporter(embedding_job.plan(), context=context)):
            return job.write_shards(embedding_job, work_dir=work, beam_args=config.beam_args)
    except runners.OptionsError as error:
        raise UserError(f"embedder.beam_args: {error}") from error
    except (runners.OtherCodeError, runners.StillRunningError, runners.WorkerDiedError) as error:
        raise UserError(str(error)) from error
    except UnusableVectorsError as error:
        raise UserError(
            f"{error}: train the model again if it is one of its encoders (its training has diverged), or remove the "
            "baseline from embedder.baselines."
        ) from error
    except Exception as error:
        said = error_text.message_of(error, UserError.__name__)
        if said and not isinstance(error, UserError):  # Of an embedder in the job.
            raise UserError(said) from error
        raise


def _progress_reporter(shards: Sequence[plan.Shard], *, context: base.StageContext) -> Callable[[], None]:
    """Returns a function that reports the clips of the finished files; a clip counts once for each embedder."""
    embedders = list(dict.fromkeys(shard.embedder for shard in shards))
    clips_of = {f"{shard.embedder}/{shard.file}": shard.clips for shard in shards}
    finished: set[str] = set()
    total = sum(clips_of.values())

    def report() -> None:
        found = records.finished(context.work_dir, embedders, known=finished)
        finished.update(f"{record.embedder}/{record.shard}" for record in found)
        done = sum(clips_of.get(name, 0) for name in finished)
        context.progress.update(done, total=total, unit="clips")

    return report


def _result(embeddings: EmbeddingsInfo) -> base.StageResult:
    figures: dict[str, float | int | str] = {}
    parts = []
    for name, embedder in embeddings.embedders.items():
        clips = sum(embedder.clips.values())
        dim = sum(embedder.dims.values())
        figures[f"{name}_clips"], figures[f"{name}_dim"] = clips, dim
        parts.append(f"{name} {clips:,} x {dim:,}")
    clips = text.plural(sum(embeddings.splits.values()), "clip")
    return base.StageResult(summary=f"{clips}, a row a {embeddings.row}: {', '.join(parts)}", figures=figures)
