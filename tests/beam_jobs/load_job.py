"""Program that loads a pipeline from stdin, and prints the modules of the functions that its steps call.

It imports nothing but Beam, so it can load the pipeline only if the pipeline itself says where its functions are.
"""

import sys

import apache_beam as beam
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability import fn_api_runner


class FunctionPrinter(beam.pipeline.PipelineVisitor):
    def visit_transform(self, step):
        if isinstance(step.transform, beam.ParDo):
            function = getattr(step.transform.fn, "_fn", step.transform.fn)  # beam.Map and FlatMap wrap a function.
            function = getattr(function, "func", function)  # functools.partial does too.
            print(getattr(function, "__module__", type(function).__module__))


def main():
    proto = beam_runner_api_pb2.Pipeline.FromString(sys.stdin.buffer.read())
    beam.Pipeline.from_runner_api(proto, fn_api_runner.FnApiRunner(), None).visit(FunctionPrinter())


if __name__ == "__main__":
    main()
