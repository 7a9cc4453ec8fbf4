"""Makes the bundled model: `python -m tests.benchmarks.tiny_v1 --ambience A --samples S --data ESC-50`.

It copies the audio of both folders and generated clips into one folder, trains the preset `tiny` on it, scores the file
for LiteRT on ESC-50, and puts the file and its card into `diptych/bundled/tiny-v1`. Every step is a command of Diptych;
the same command goes on where a stopped one was.
"""

import argparse
import json
import pathlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

from beam_jobs import storage
from beam_jobs.sources import suffixes
from diptych import bundled
from diptych import embedder as embedders
from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS
from tests.benchmarks.tiny_v1 import card

NAME = "tiny-v1"
VARIANT = "litert_fp32"
MOST_BYTES = 2_000_000
_UNKNOWN_LICENSE = ("moodist-*",)
"""Files that are always left out: Moodist says that some of its sounds have other licenses, but not which."""
_DIPTYCH = (sys.executable, "-m", "pipeline")


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ambience", type=pathlib.Path, required=True, help="folder of Blanket's recordings")
    parser.add_argument("--samples", type=pathlib.Path, required=True, help="folder of short sounds")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="ESC-50's folder")
    parser.add_argument("--generated", type=int, default=300, metavar="N", help="clips to generate; default: 300")
    parser.add_argument(
        "--leave-out", action="append", default=[], metavar="GLOB", help="files to leave out by name (repeatable)"
    )
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("runs/tiny-v1"), help="keeps all steps")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    parser.add_argument("--bundled", type=pathlib.Path, default=bundled.FOLDER, help="folder of the bundled models")
    parser.add_argument("overrides", nargs="*", metavar="FIELD=VALUE", help="as for `diptych run`")
    flags = parser.parse_args()

    audio, left_out = flags.work / "audio", [*_UNKNOWN_LICENSE, *flags.leave_out]
    sources = {"ambience": flags.ambience, "samples": flags.samples, "generated": generate(flags)}
    counts = {name: copy(folder, audio / name, leave_out=left_out) for name, folder in sources.items()}
    run = flags.work / "run"
    train = ["--preset", "tiny", "--root", run, "--data", audio, f"exporter.formats=[{VARIANT}]", *flags.overrides]
    diptych("run", *train)
    model = newest(run)
    evaluation = flags.work / "evaluation"
    score = ["--baseline", "log_mel_mean_std", "--output", evaluation, "evaluator.probe=linear"]
    diptych("evaluate", "--model", model, "--data", flags.data, *score)

    place = flags.bundled / NAME
    place.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model, place / bundled.FILE)
    figures = {
        "files": counts,
        "left_out": flags.leave_out,
        "overrides": flags.overrides,
        "run": report(run),
        "model": described(place / bundled.FILE),
        **scores(evaluation),
    }
    if figures["model"]["bytes"] > MOST_BYTES:
        sys.exit(f"{model} has {figures['model']['bytes']:,} bytes, and {MOST_BYTES:,} are the most: lower the widths.")
    measuring.save("tiny_v1", figures, results=flags.results)
    (place / "card.md").write_text(card.render(json.loads((flags.results / "tiny_v1.json").read_text())))


def diptych(*arguments: object) -> None:
    """Runs a command of Diptych, and ends with it if it fails."""
    command = [*_DIPTYCH, *map(str, arguments)]
    print(f"$ {shlex.join(command)}", file=sys.stderr, flush=True)
    status = subprocess.run(command).returncode
    if status:
        sys.exit(status)


def generate(flags: argparse.Namespace) -> pathlib.Path:
    """Generates clips of the quickstart's corpus, and returns their folder."""
    root = flags.work / "generated"
    size = (f"synthetic_audio_gen.clips_train={flags.generated}", "synthetic_audio_gen.clips_eval=1")
    diptych("run", "--preset", "quickstart", "--root", root, "--only", "SyntheticAudioGen", *size)
    folders = (root / "artifacts" / "SyntheticAudioGen" / "audio").iterdir()
    return max((folder for folder in folders if folder.name.isdigit()), key=lambda folder: int(folder.name)) / "audio"


def copy(source: pathlib.Path, target: pathlib.Path, *, leave_out: Sequence[str]) -> int:
    """Makes a folder hold the audio files of another one and nothing else, and returns their number."""
    wanted = {
        "-".join(file.relative_to(source).parts): file
        for file in sorted(source.rglob("*"))
        if file.is_file() and suffixes.is_audio(file.name) and not any(file.match(glob) for glob in leave_out)
    }
    if not wanted:
        sys.exit(f"{source} holds no audio: give another folder.")
    target.mkdir(parents=True, exist_ok=True)
    for file in target.iterdir():
        if file.name not in wanted:
            file.unlink()
    for name, file in wanted.items():
        if not (target / name).exists() or (target / name).stat().st_size != file.stat().st_size:
            shutil.copy2(file, target / name)
    return len(wanted)


def newest(root: pathlib.Path) -> pathlib.Path:
    """Returns the file that the last export of a run wrote."""
    files = (root / "artifacts" / "Exporter" / "saved_model").glob(f"[0-9]*/runtimes/{VARIANT}.tflite")
    return max(files, key=lambda file: int(file.parents[1].name))


def described(model: pathlib.Path) -> Mapping[str, object]:
    """Returns size, digest, window and dimensions of a model."""
    embedder = embedders.load(model)
    return {
        "bytes": model.stat().st_size,
        "sha256": storage.file_digest(model).sha256,
        "window_s": embedder.window_seconds,
        "dims": dict(embedder.dims),
    }


def report(root: pathlib.Path) -> Mapping[str, object]:
    """Returns what a run says of its examples and its training, without the paths of this machine."""
    stages = {row["stage"]: row for row in json.loads((root / "report.json").read_text())["stages"]}
    return {
        "clips": stages["AudioExampleGen"]["figures"]["clips"],
        "quarantined": stages["AudioExampleGen"]["figures"]["quarantined"],
        "hours": stages["StatisticsGen"]["figures"]["hours"],
        "training": stages["Trainer"]["summary"],
        "export": stages["Exporter"]["summary"],
    }


def scores(evaluation: pathlib.Path) -> Mapping[str, object]:
    """Returns the scores of an evaluation with their intervals. The model's are named `tiny-v1`."""
    metrics = json.loads((evaluation / "metrics.json").read_text())
    names = {name: name for name in metrics["scores"] if name != "both"} | {"embedding": NAME}
    return {
        key: {names[name]: value for name, value in metrics[key].items() if name in names}
        for key in ("scores", "intervals", "knn", "few_shot")
    }


if __name__ == "__main__":
    main()
