"""Embeds examples with toy embedders; also a program, so that a test can kill it.

`python -m tests.beam_jobs.embedding.toy_job EXAMPLES FOLDER SECONDS [FLAG ...]` takes some seconds for each batch.
"""

import sys

from etils import epath

from beam_jobs import examples
from beam_jobs.embedding import job, publish
from beam_jobs.embedding.shared import SharedEmbedders
from tests.beam_jobs.embedding.toy_embedder import ToyLoader

_ONE = (ToyLoader(),)


def job_of(folder, *, loaders, row="window", batch_size=8, limits=None):
    return job.Job(
        info=examples.read_info(folder),
        embedders=SharedEmbedders(loaders),
        digests={loader.name: loader.digest() for loader in loaders},
        limits={loader.name: (limits or {}).get(loader.name) for loader in loaders},
        row=row,
        batch_size=batch_size,
    )


def embed(folder, run, *, loaders=_ONE, beam_args=(), **settings):
    """Embeds examples in the work folder `run/work`, and publishes in `run/output`, which starts empty.

    Returns:
        The description of the embeddings.
    """
    work, output = epath.Path(run) / "work", epath.Path(run) / "output"
    if output.exists():
        output.rmtree()
    output.mkdir(parents=True)
    toy_job = job_of(folder, loaders=loaders, **settings)
    finished = job.write_shards(toy_job, work_dir=work, beam_args=beam_args)
    return publish.publish(toy_job, finished, work=work, output=output)


if __name__ == "__main__":
    slow = ToyLoader(seconds=float(sys.argv[3]))
    embed(sys.argv[1], sys.argv[2], loaders=(slow, ToyLoader(name="other")), beam_args=tuple(sys.argv[4:]))
