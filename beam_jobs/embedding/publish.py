"""Publishes finished files of embeddings as one folder."""

from collections.abc import Sequence

from etils import epath

from beam_jobs import manifest, storage
from beam_jobs.embedding.info import EmbedderInfo, EmbeddingsInfo
from beam_jobs.embedding.job import Job
from beam_jobs.embedding.records import ShardRecord


class LostFileError(Exception):
    """A finished file is no longer in the work folder as it was written. The message is one sentence."""


def publish(job: Job, finished: Sequence[ShardRecord], *, work: epath.Path, output: epath.Path) -> EmbeddingsInfo:
    """Puts the files into a folder, with a manifest, and then the description that makes the folder whole.

    Args:
        job: The job that wrote them.
        finished: Their records, see `job.write_shards`.
        work: The job's work folder.
        output: An empty folder.

    Raises:
        LostFileError: Another program has changed the work folder.
    """
    embedders = {}
    for name in job.embedders.names:
        (output / name).mkdir(parents=True)
        members = [record for record in finished if record.embedder == name]
        _publish_files(members, work=work / name, output=output / name)
        embedders[name] = _describe(name, members, job=job)
    info = EmbeddingsInfo(
        label_names=job.info.label_names,
        has_folds=job.info.has_folds,
        splits=job.info.splits,
        row=job.row,
        embedders=embedders,
    )
    info.write(output)
    return info


def _publish_files(members: Sequence[ShardRecord], *, work: epath.Path, output: epath.Path) -> None:
    files = [storage.Publication(work / one.file, output / one.shard, one.bytes) for one in members]
    for file, size in zip(files, storage.publish_files(files), strict=True):
        if size != file.bytes:
            raise LostFileError(
                f"{file.source} has {size:,} of its {file.bytes:,} bytes, because another program has changed the work "
                "folder; the same command writes it again"
            )
    recorded = {one.shard: {key: getattr(one, key) for key in ("clips", "rows", "bytes", "sha256")} for one in members}
    manifest.Manifest(files=recorded).write(output)


def _describe(name: str, members: Sequence[ShardRecord], *, job: Job) -> EmbedderInfo:
    embedder = job.embedders.get(name)
    clips: dict[str, int] = {}
    files: dict[str, dict[str, int]] = {}
    for record in members:
        clips[record.split] = clips.get(record.split, 0) + record.clips
        files.setdefault(record.split, {})[record.shard] = record.rows
    return EmbedderInfo(
        digest=job.digests[name], framing=embedder.framing, dims=dict(embedder.dims), clips=clips, files=files
    )
