"""Program that loads pipelines from files, and prints the modules of the functions that the steps of each call.

It imports nothing but Beam, so it can load a pipeline only if the pipeline itself says where its functions are.
"""

import pathlib
import sys

import apache_beam as beam
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability import fn_api_runner


class FunctionPrinter(beam.pipeline.PipelineVisitor):
    def __init__(self, path):
        self._path = path

    def visit_transform(self, step):
        if isinstance(step.transform, beam.ParDo):
            function = getattr(step.transform.fn, "_fn", step.transform.fn)  # beam.Map and FlatMap wrap a function.
            function = getattr(function, "func", function)  # functools.partial does too.
            print(self._path, getattr(function, "__module__", type(function).__module__))


def main():
    for path in sys.argv[1:]:
        proto = beam_runner_api_pb2.Pipeline.FromString(pathlib.Path(path).read_bytes())
        beam.Pipeline.from_runner_api(proto, fn_api_runner.FnApiRunner(), None).visit(FunctionPrinter(path))


if __name__ == "__main__":
    main()
