"""A store with many runs of a few stages, written without the work of the stages."""

import hashlib

from pipeline.metadata.executions import Artifact, CacheKey, Execution, Run, State
from pipeline.metadata.store import MetadataStore
from tests.pipeline.tiny_run import STAGES

CODE = {f"components/stage/module_{number}.py": "0123456789abcdef" * 4 for number in range(60)}
"""As much as a stage's code takes in a record."""


def write(folder, *, runs, every, stages=STAGES):
    """Writes a store and returns it.

    Args:
        folder: The root.
        runs: Number of runs.
        every: In each run of this number all stages run, and in the others all are skipped.
        stages: Their names. Each reads what the one before wrote.
    """
    store = MetadataStore(str(folder / "metadata.sqlite"), pipeline="test", root=folder)
    store._records._db.execute("PRAGMA synchronous = OFF")  # It only has to be there for the test.
    outputs = {}
    for number in range(runs):
        run = Run(name=f"run-{number:04}", stages=stages, preset="tiny")
        store.start_run(run)
        before = None
        for stage in stages:
            key = key_of(stage, number // every, reads=before)
            is_new = number % every == 0
            execution = Execution(
                cache_key=key,
                code=CODE,
                state=State.RUNNING if is_new else State.CACHED,
                why="first run" if is_new else "nothing changed",
                figures={"loss": 0.5, "blessed": 0, "pushed": 0},
            )
            inputs = {} if before is None else {"input": before}
            if is_new:
                store.put(execution, run=run, inputs=inputs)
                uri = f"{folder}/artifacts/{stage}/output/{execution.id}"
                digest = hashlib.sha256(f"{stage} {number}".encode()).hexdigest()
                outputs[stage] = Artifact(type=f"{stage}Output", uri=uri, digest=digest, listing="e5")
                execution.state, execution.outputs = State.COMPLETE, {"output": outputs[stage]}
                store.put(execution, run=run)
            else:
                execution.outputs = {"output": outputs[stage]}
                store.put(execution, run=run, inputs=inputs)
            before = outputs[stage]
    return store


def key_of(stage, number, *, reads=None):
    """Returns the cache key of a stage in the runs that have the same config, of which there is one for each number."""
    return CacheKey(
        stage=stage,
        version=1,
        libraries={"tensorflow": "2.17.1"},
        config={"steps": number, "model": {"width": 0.125, "encoders": ["waveform", "log_mel"]}},
        inputs={} if reads is None else {"input": reads.digest},
        external={},
    )
