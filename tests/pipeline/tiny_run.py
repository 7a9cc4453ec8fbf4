"""A whole run of all stages on a few clips, with encoders and steps as small as they get."""

import contextlib
import io
import pathlib

from pipeline import cli
from tests import corpora

STAGES = (
    "AudioExampleGen",
    "StatisticsGen",
    "ExampleValidator",
    "Trainer",
    "Exporter",
    "Embedder",
    "Evaluator",
    "Pusher",
)
"""The stages of a run on clips, in order."""

TRAINING = (
    "trainer.steps=4",
    "trainer.batch_size=8",
    "trainer.model.width=0.03125",
    "trainer.model.widths.waveform=null",
    "trainer.model.encoders.waveform=conv320",
    "trainer.model.crop_seconds=0.5",
    "trainer.eval_every=2",
    "trainer.log_every=1",
)


def write_clips(folder: pathlib.Path) -> None:
    """Writes 30 clips with a manifest of three classes and three splits."""
    rows = ["path,labels,split"]
    for i in range(30):
        corpora.write_tone(folder / f"{i}.wav", seconds=1.5, hertz=200.0 + 50 * (i % 3) + i)
        split = {3: "valid", 4: "eval"}.get(i % 5, "train")
        rows.append(f"{i}.wav,{'abc'[i % 3]},{split}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")


def command(clips: pathlib.Path, root: pathlib.Path) -> list[str]:
    """Returns the arguments of the command."""
    return ["run", "--preset", "tiny", "--data", str(clips), "--root", str(root), *TRAINING, "evaluator.mlp_epochs=1"]


def run(clips: pathlib.Path, root: pathlib.Path, *flags: str) -> tuple[int, list[str], str]:
    """Runs the command.

    Returns:
        The exit status, the names of the stages that ran, and what was printed to stderr.
    """
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main([*command(clips, root), *flags])
    ran = [line.partition(":")[0] for line in out.getvalue().splitlines() if ": runs, " in line]
    return status, ran, err.getvalue().strip()
