"""A Beam runner for tests that builds a job and does not run it."""

from apache_beam.runners import runner


class Built(Exception):
    """The job is built; `proto` is what a remote runner would be sent."""

    def __init__(self, proto):
        super().__init__("built")
        self.proto = proto


class GraphRunner(runner.PipelineRunner):
    """To be used as `--runner=tests.graphs.GraphRunner`."""

    def run_pipeline(self, pipeline, options):
        raise Built(pipeline.to_runner_api())
