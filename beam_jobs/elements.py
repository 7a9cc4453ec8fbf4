"""The first step of each job, in which a worker shows that it runs what the launching machine runs."""

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam import pvalue

from beam_jobs import worker_code


class Elements(beam.PTransform):
    """Gives the elements of a job to all its workers, after one of them has compared its code.

    In place of `beam.Create` and `beam.Reshuffle`: their functions are sent as bytecode, which another Python executes
    as something else. Of these here only the names are sent, so that a worker comes as far as the comparison. Without
    the shuffle Beam would fuse the next step with this one, and one worker would do everything.

    Args:
        elements: They are sent with the job, so they should be small.
        code: What the launching machine runs.
    """

    def __init__(self, elements: Iterable[Any], *, code: worker_code.Code):
        super().__init__()
        self._numbered = _Number(list(elements), code=code)

    def expand(self, start: pvalue.PBegin) -> beam.PCollection:
        return (
            start
            | beam.Impulse()
            | "Number" >> beam.ParDo(self._numbered)
            | "Spread" >> beam.GroupByKey()
            | "Elements" >> beam.ParDo(_WithoutNumber())
        )


class _Number(beam.DoFn):
    """Gives each element a key of its own."""

    def __init__(self, elements: list[Any], *, code: worker_code.Code):
        self._elements = elements
        self._launching = code

    def setup(self) -> None:
        worker_code.check(self._launching)

    def process(self, impulse: bytes) -> Iterator[tuple[int, Any]]:
        yield from enumerate(self._elements)


class _WithoutNumber(beam.DoFn):
    def process(self, numbered: tuple[int, Iterable[Any]]) -> Iterator[Any]:
        _, elements = numbered
        yield from elements
