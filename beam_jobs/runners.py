"""How our Beam jobs are started: unchanged on this machine and on Dataflow."""

import contextlib
import io
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apache_beam as beam


class OptionsError(ValueError):
    """What is wrong with Beam's flags, in one sentence."""


def pipeline(beam_args: Sequence[str] = ()) -> "beam.Pipeline":
    """A Beam pipeline to be used in a `with` statement, which runs it to its end.

    Args:
        beam_args: Beam's own flags, e.g. `--runner=DataflowRunner --project=...`. Without a `--runner` the job runs in
            threads of this process, one a core: decoding, resampling and FFTs let go of the interpreter lock, and
            measured on 2 cores threads beat worker processes, each of which first has to import TensorFlow. The runner
            is named, because `DirectRunner` would try to download Beam's Go runner first.

    Raises:
        OptionsError: Beam does not accept the flags.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    args = list(beam_args)
    if not any(arg.startswith("--runner") for arg in args):
        args = ["--runner=FnApiRunner", *args]
        if not any(arg.startswith("--direct_") for arg in args):
            args += ["--direct_running_mode=multi_threading", f"--direct_num_workers={os.cpu_count() or 1}"]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # argparse prints its usage before it exits
            options = PipelineOptions(args)
            options.get_all_options()  # else some are parsed only when the job runs
            return beam.Pipeline(options=options)
    except (ValueError, ImportError, SystemExit) as error:  # ImportError: a runner whose extra is not installed
        reason = said.getvalue().rpartition("error: ")[2] if isinstance(error, SystemExit) else str(error)
        raise OptionsError(f"Beam does not accept {' '.join(beam_args)!r}: {' '.join(reason.split())}") from error
