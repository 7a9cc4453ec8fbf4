"""`diptych client`: embeds audio files with a model that a server has."""

import argparse

from components.errors import UserError
from pipeline.commands import embed

SUMMARY = "embed audio files with a model on a server"

DESCRIPTION = """\
Does what `diptych embed` does, with a model on a server: `diptych serve` or TensorFlow Serving. It decodes the
files here, cuts them into windows and sends these, so that recordings may have any length. All windows go to
one version of the model.

URL is http://HOST:PORT or https://... for the REST API, grpc://HOST:PORT or, encrypted, grpcs://... for gRPC.
TensorFlow Serving does not tell the model's sample rate and windows: name a copy of the SavedModel with --info.

The PATHs, the output and the exit status are those of `diptych embed`."""

EPILOG = """\
examples:
  diptych client --server http://127.0.0.1:8501 ~/recordings --output embeddings.parquet
  diptych client --server grpc://serving:8500 --info saved_model/5 *.wav"""

_REST, _GRPC = ("http", "https"), ("grpc", "grpcs")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("--server", required=True, metavar="URL", help="the server, see above")
    parser.add_argument("--name", default="diptych", help="the name of the model there; default: diptych")
    parser.add_argument(
        "--model-version", type=int, metavar="N", help="the version to call; default: the newest one of the server"
    )
    parser.add_argument("--info", metavar="DIR", help="a copy of the SavedModel, which describes its embeddings")
    embed.add_shared_arguments(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Embeds the files and returns the exit status.

    Raises:
        UserError: The server does not answer or has no such model, the output cannot be written, or nothing could be
            embedded.
    """
    scheme, separator, address = arguments.server.partition("://")
    if not separator or not address or scheme not in (*_REST, *_GRPC):
        raise UserError(
            f"--server {arguments.server} is no address: give http://HOST:PORT for REST, or grpc://HOST:PORT for gRPC."
        )
    if arguments.model_version is not None and arguments.model_version < 0:
        raise UserError(f"--model-version {arguments.model_version}: versions are 0 or more; give one of the server's.")
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast; gRPC's module also
    # imports TensorFlow.
    from pipeline.serving.client.remote_model import RemoteModel

    if scheme in _REST:
        from pipeline.serving.client.rest import RestServer as Server  # for the reason above
    else:
        from pipeline.serving.client.grpc_calls import GrpcServer as Server  # for the reason above
    server = Server(arguments.server, name=arguments.name)
    version = server.newest_version() if arguments.model_version is None else arguments.model_version
    return embed.run(RemoteModel(server, version, arguments.info), arguments)
