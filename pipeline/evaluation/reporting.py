"""Writes the report of an evaluation: `report.html` and `metrics.json` in its folder."""

import dataclasses
import json
import pathlib

from beam_jobs import storage
from beam_jobs.embedding.read import Embeddings
from components.embedder import evaluated
from pipeline.console.progress import Display
from pipeline.console.report import Report
from pipeline.evaluation.config import EvaluationConfig
from pipeline.evaluation.report import gathering, page, terminal
from pipeline.evaluation.robustness import measuring
from pipeline.evaluation.robustness.curves import Curves
from pipeline.root import Root

PAGE = "report.html"
METRICS = "metrics.json"


def report(
    result: Report,
    *,
    root: Root,
    config: EvaluationConfig,
    model: str,
    data: str,
    robustness_clips: int,
    display: Display,
) -> None:
    """Measures the robustness if it is asked for, writes the report and says where it is.

    Args:
        result: The report of the run.
        root: The folder of the evaluation.
        config: What has run.
        model: The model, as the user named it.
        data: The audio, as the user named it.
        robustness_clips: Number of clips to perturb; 0 measures nothing.
        display: Where progress is shown.
    """
    curves = None
    if robustness_clips:
        curves = _measure(result, root=root, model=config.embedder.model, clips=robustness_clips, display=display)
    metrics = json.loads((gathering.folder(result, "Evaluator", "evaluation") / METRICS).read_text())
    metrics |= {"model": config.embedder.model, "data": config.audio_example_gen.source}
    if curves is not None:
        metrics["robustness"] = dataclasses.asdict(curves)
    storage.write_text(root.path / METRICS, json.dumps(metrics, indent=2, allow_nan=False) + "\n")
    content = gathering.gather(result, model=model, data=data, curves=curves)
    storage.write_text(root.path / PAGE, page.render(content))
    terminal.show(content, display.console)
    display.say(f"{'Metrics:':12} {root.path / METRICS}")
    display.say(f"{'Report:':12} {root.path / PAGE}  (open it in a browser)")


def _measure(result: Report, *, root: Root, model: str, clips: int, display: Display) -> Curves:
    embeddings = Embeddings(gathering.folder(result, "Embedder", "embeddings"))
    sample = measuring.draw(gathering.folder(result, "AudioExampleGen", "examples"), clips=clips)
    work = pathlib.Path(root.path) / "work" / "robustness"
    with display.stage("Robustness") as progress:
        return measuring.measure(sample, evaluated.loader(model).load(), embeddings, work=work, progress=progress)
