"""`diptych serve`: serves an exported model over HTTP."""

import argparse
import math

from components.errors import UserError
from pipeline.commands import exit_status
from pipeline.commands import shared_arguments as shared

SUMMARY = "serve an exported model over HTTP, with a page to try it"

DESCRIPTION = """\
Serves a model with the REST API of TensorFlow Serving (/v1/models/NAME:predict), the Open Inference Protocol
of KServe and Triton (/v2/models/NAME/infer), Prometheus' metrics (/metrics), and at / a page for people: drop
or record a sound, see its waveform, its log-mel picture and its embedding, and with --index its nearest
neighbors.

MODEL is a SavedModel, one of its .tflite and .onnx files, or a folder of versions such as the Pusher's destination.
Of a folder it serves the highest version, and changes to another one when it is there, without losing a request.

Clips of equal length that wait at the same time are embedded together. What is too much is refused: 413 for a
request that is too large or too long, 429 with Retry-After for more requests than --max-requests at a time.
SIGTERM and Ctrl-C let the server answer what it has begun, and refuse further work with 503.

There is no encryption and no password: to serve others than this machine, put it behind a proxy that has both.

exit status: 0 after SIGTERM or Ctrl-C; 2 if an argument is wrong."""

EPILOG = """\
examples:
  curl -d '{"instances": [[0.0, 0.1, -0.1]]}' http://127.0.0.1:8501/v1/models/diptych:predict
  diptych serve --model runs/tiny/artifacts/Exporter/saved_model/5
  diptych serve --model ~/pushed --index sounds.parquet --port 9000"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add = parser.add_argument
    of_model = f"the SavedModel or file, or a folder of versions; or {shared.BUNDLED}"
    add("--model", required=True, metavar="MODEL", help=of_model)
    add("--index", metavar="E", help="embeddings to search in: a Parquet file of `diptych embed`, or of the Embedder")
    add("--features", default="", metavar="NAME", help="which vectors of --index, as in `diptych search`")
    add("--name", default="diptych", help="what callers call the model; default: diptych")
    add("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0 for all; default: 127.0.0.1")
    add("--port", type=int, default=8501, metavar="N", help="port to listen at; 0 for any; default: 8501")
    add("--batch-size", type=int, default=8, metavar="N", help="clips that the model gets at a time; default: 8")
    add("--max-requests", type=int, default=64, metavar="N", help="requests at a time; default: 64")
    add("--max-connections", type=int, default=1024, metavar="N", help="open connections; default: 1024")
    add("--max-body", type=float, default=32, metavar="MIB", help="the largest body of a request; default: 32 MiB")
    add("--max-seconds", type=float, default=600, metavar="S", help="the most sound in a request; default: 600 s")
    add("--read-timeout", type=float, default=30, metavar="S", help="time for a request to arrive; default: 30 s")
    add(
        "--drain-seconds",
        type=float,
        default=2,
        metavar="S",
        help="how long to refuse further work before ending, at least; default: 2 s",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Serves the model until it is told to end, and returns the exit status.

    Raises:
        UserError: There is no such model or index, the port is taken, or an argument is wrong.
    """
    _check(arguments)
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from pipeline.serving.server import run
    from pipeline.serving.server.limits import MIB, Limits

    body = round(arguments.max_body * MIB)
    limits = Limits(
        body_bytes=body,
        seconds=arguments.max_seconds,
        requests=arguments.max_requests,
        all_bodies_bytes=max(Limits.all_bodies_bytes, body),
        connections=arguments.max_connections,
        read_s=arguments.read_timeout,
        batch_clips=arguments.batch_size,
    )
    run.serve(
        run.Settings(
            model=arguments.model,
            name=arguments.name,
            index=arguments.index,
            features=arguments.features,
            host=arguments.host,
            port=arguments.port,
            limits=limits,
            drain_s=arguments.drain_seconds,
        )
    )
    return exit_status.OK


def _check(arguments: argparse.Namespace) -> None:
    if not arguments.model:
        raise UserError("--model is empty: give the folder that `diptych run` prints last, or one of versions.")
    positive = ("batch_size", "max_requests", "max_connections", "max_body", "max_seconds", "read_timeout")
    for name in positive:
        value = getattr(arguments, name)
        if not 0 < value < math.inf:
            raise UserError(f"--{name.replace('_', '-')} {value:g}: give a number above 0.")
    if not 0 <= arguments.drain_seconds < math.inf:
        raise UserError(f"--drain-seconds {arguments.drain_seconds:g}: give a number of seconds.")
    if not 0 <= arguments.port < 2**16:
        raise UserError(f"--port {arguments.port}: give a number below {2**16:,}, or 0 for any port that is free.")
    if "/" in arguments.name or ":" in arguments.name or not arguments.name:
        raise UserError(f"--name {arguments.name}: give a name without / and :, because addresses hold it.")
    if arguments.features and not arguments.index:
        raise UserError("--features chooses vectors of --index: give both.")
