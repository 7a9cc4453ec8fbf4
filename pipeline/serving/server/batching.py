"""Calls signatures with the clips of several requests, of equal length, at a time.

A batch is made when a thread is free, of what waits at that time, so nothing waits for company. Clips of other lengths
are not padded, because that would change their embeddings; they wait for the next batch.
"""

import asyncio
import collections
import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np

from pipeline.serving.server.metrics import Metrics
from pipeline.serving.server.served import ServedVersion, Signature

_THREADS = 2
"""While one thread hands results to Python, the other one keeps the processor busy."""

_Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Job:
    """The arrays of a request.

    Attributes:
        version: Keeps the variables of the signature in memory.
        signature: What to call.
        inputs: Name -> array, all with the same first dimension.
        clips: That dimension.
        kind: Jobs of the same kind fit into a batch.
        result: Gets the outputs. Only the thread of the event loop, to which it belongs, sets it.
    """

    version: ServedVersion
    signature: Signature
    inputs: _Arrays
    clips: int
    kind: Hashable
    result: asyncio.Future[_Arrays]


class Batcher:
    """Calls signatures in threads of its own.

    The oldest request is always in the next batch. The number that waits is bounded by who calls `run`.

    Args:
        clips: Clips in a batch. A request with more is a batch of its own.
        metrics: Counts the batches.
    """

    def __init__(self, *, clips: int, metrics: Metrics):
        self._clips = clips
        self._metrics = metrics
        self._waiting: collections.deque[_Job] = collections.deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._threads = [threading.Thread(target=self._work, name=f"model {i}", daemon=True) for i in range(_THREADS)]
        for thread in self._threads:
            thread.start()

    async def run(self, version: ServedVersion, signature: Signature, inputs: _Arrays) -> _Arrays:
        """Calls a signature, in a batch with others that wait.

        Args:
            version: The signature's.
            signature: What to call.
            inputs: Name -> array (clips, ...); strings are bytes, as objects.

        Raises:
            tf.errors.OpError: The model refuses the inputs, or fails.
        """
        clips = len(next(iter(inputs.values())))
        kind = (version.number, signature.name, *((name, array.shape[1:]) for name, array in sorted(inputs.items())))
        result: asyncio.Future[_Arrays] = asyncio.get_running_loop().create_future()
        job = _Job(version=version, signature=signature, inputs=inputs, clips=clips, kind=kind, result=result)
        with self._changed:
            self._waiting.append(job)
            self._metrics.set_waiting(len(self._waiting))
            self._changed.notify()
        return await result

    def close(self, *, wait_s: float) -> bool:
        """Ends the threads when nothing waits anymore.

        Args:
            wait_s: How long to wait for it. A call of the model that has begun cannot be stopped.

        Returns:
            Whether they have ended.
        """
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        end_s = time.monotonic() + wait_s
        for thread in self._threads:
            thread.join(max(0.0, end_s - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while batch := self._next_batch():
            self._metrics.observe_batch(sum(job.clips for job in batch))
            self._compute(batch)

    def _next_batch(self) -> list[_Job]:
        """Waits for a job and returns it with others of its kind; returns none when the batcher is closed."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                if not self._waiting:
                    return []
                batch: list[_Job] = []
                others: list[_Job] = []
                clips = 0
                for job in self._waiting:
                    fits = not batch or (job.kind == batch[0].kind and clips + job.clips <= self._clips)
                    if not fits:
                        others.append(job)
                    elif not job.result.cancelled():  # Otherwise its caller has gone.
                        batch.append(job)
                        clips += job.clips
                self._waiting = collections.deque(others)
                self._metrics.set_waiting(len(others))
                if batch:
                    return batch

    def _compute(self, batch: Sequence[_Job]) -> None:
        try:
            outputs = batch[0].signature(_joined(batch))
        except Exception as error:
            if len(batch) == 1:
                _call_in_loop(batch, _set_error, batch[0], error)
                return
            for job in batch:  # The inputs of one must not cost the others their answers.
                self._compute([job])
            return
        _call_in_loop(batch, _set_results, batch, _split(outputs, batch))


def _joined(batch: Sequence[_Job]) -> _Arrays:
    if len(batch) == 1:
        return batch[0].inputs
    return {name: np.concatenate([job.inputs[name] for job in batch]) for name in batch[0].inputs}


def _split(outputs: _Arrays, batch: Sequence[_Job]) -> list[_Arrays]:
    if len(batch) == 1:
        return [outputs]
    results, first = [], 0
    for job in batch:
        rows = slice(first, first + job.clips)
        results.append({name: values[rows] for name, values in outputs.items()})
        first = rows.stop
    return results


def _call_in_loop(batch: Sequence[_Job], function: Callable[..., None], *args: object) -> None:
    """Lets the event loop call a function: once for a batch, because each time costs a change of threads."""
    with contextlib.suppress(RuntimeError):  # The loop has ended, and nobody waits.
        batch[0].result.get_loop().call_soon_threadsafe(function, *args)


def _set_results(batch: Sequence[_Job], results: Sequence[_Arrays]) -> None:
    for job, result in zip(batch, results, strict=True):
        if not job.result.done():  # Otherwise its caller has gone meanwhile.
            job.result.set_result(result)


def _set_error(job: _Job, error: Exception) -> None:
    if not job.result.done():
        job.result.set_exception(error)
