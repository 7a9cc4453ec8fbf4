"""`python -m tests.components.audio_example_gen.spread_service PORT_FILE STAGING_DIR`: a job service, several workers.

Beam's own local service gives a job one worker. This one gives it a worker in each of the pools that the job names,
separated by commas, as `--environment_type=EXTERNAL --environment_config=HOST:PORT,HOST:PORT`.
"""

import pathlib
import signal
import sys
import threading

from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_job_api_pb2, beam_runner_api_pb2
from apache_beam.runners.portability import local_job_service
from apache_beam.runners.portability.fn_api_runner import fn_runner, worker_handlers


class SpreadJob(local_job_service.BeamJob):
    def _invoke_runner(self):
        self.set_state(beam_job_api_pb2.JobState.RUNNING)
        runner = fn_runner.FnApiRunner(provision_info=self._provision_info)
        runner._num_workers = max(map(len, map(pools, self._pipeline_proto.components.environments.values())))
        return runner.run_via_runner_api(self._pipeline_proto, self.pipeline_options())


def pools(environment):
    return beam_runner_api_pb2.ExternalPayload.FromString(environment.payload).endpoint.url.split(",")


@worker_handlers.WorkerHandler.register_environment(
    common_urns.environments.EXTERNAL.urn, beam_runner_api_pb2.ExternalPayload
)
class WorkerOfNextPool(worker_handlers.ExternalWorkerHandler):
    def __init__(self, payload, *arguments):
        super().__init__(payload, *arguments)
        addresses = payload.endpoint.url.split(",")
        payload.endpoint.url = addresses[int(self.worker_id.rpartition("_")[2]) % len(addresses)]

    def host_from_worker(self):
        return "127.0.0.1"  # Beam's choice, the name of this machine, may have no address.


def main(port_file, staging_dir):
    service = local_job_service.LocalJobServicer(staging_dir, beam_job_type=SpreadJob)
    unfinished = pathlib.Path(f"{port_file}.writing")
    unfinished.write_text(str(service.start_grpc_server(0)))
    unfinished.rename(port_file)
    threading.Event().wait()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    main(*sys.argv[1:])
