"""The program of the flex template: lists the audio, and hands the job of AudioExampleGen over to Dataflow.

Dataflow's launcher runs it in the image of the Dockerfile, with the parameters of template.json and Beam's own flags.
When the job has ended, `diptych run` with the same preset, data, root and fields publishes what it wrote.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence

from beam_jobs import runners
from components.errors import UserError
from pipeline.commands import run


def main(argv: Sequence[str]) -> int:
    """Returns 0 when the job is handed over, or when there was nothing left to do.

    Raises:
        UserError: The parameters do not fit, or the audio cannot be read.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--preset", default="base")
    parser.add_argument("--data", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--fields", default="", help="changed fields of the config, as FIELD=VALUE;FIELD=VALUE")
    parameters, beam_args = parser.parse_known_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        typed = [
            *("--preset", parameters.preset, "--data", parameters.data, "--root", parameters.root),
            # The job is told from its work folder in the root, not from the metadata.
            *("--metadata", f"{folder}/metadata.sqlite", "--until", "AudioExampleGen"),
            *filter(None, parameters.fields.split(";")),
            f"audio_example_gen.beam_args={json.dumps(beam_args)}",
        ]
        command = argparse.ArgumentParser()
        run.add_arguments(command)
        arguments = command.parse_args(typed)
        arguments.typed = ["run", *typed]
        try:
            return run.execute(arguments)
        except UserError as error:
            if not isinstance(error.__cause__, runners.HandedOverError):
                raise
            print(error)
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
