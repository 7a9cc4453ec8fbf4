"""A Beam runner that builds a job and does not run it."""

from apache_beam.runners import runner


class PipelineBuilt(Exception):
    """Raised in place of running the job.

    Attributes:
        proto: The pipeline as a remote runner would receive it.
    """

    def __init__(self, proto):
        super().__init__("the pipeline is built")
        self.proto = proto


class GraphRunner(runner.PipelineRunner):
    """Use it as `--runner=tests.beam_jobs.graph_runner.GraphRunner`."""

    def run_pipeline(self, pipeline, options):
        raise PipelineBuilt(pipeline.to_runner_api())
