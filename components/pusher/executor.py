"""Executes the Pusher: checks the blessings, copies the SavedModel and reports the result."""

import dataclasses
import json
from collections.abc import Mapping

from absl import logging
from etils import epath

from components import base
from components.pusher import copying, summaries, versions
from components.pusher.config import PusherConfig

_BLESSING_FILES = {"blessing": "blessing.json", "infra_blessing": "infra_blessing.json"}
_METRICS = "metrics.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """The content of `pushed.json`.

    Attributes:
        pushed: Whether the model was pushed.
        version: Its version number.
        path: Its folder, or None if it was not pushed.
        reasons: Why it was not pushed.
    """

    pushed: bool
    version: int
    path: str | None
    reasons: list[str]


def execute(
    config: PusherConfig,
    *,
    inputs: Mapping[str, epath.Path],
    outputs: Mapping[str, epath.Path],
    context: base.StageContext,
) -> base.StageResult:
    """Pushes the model if it is blessed. `components.pusher.Pusher` describes the files that it writes."""
    folder = epath.Path(config.destination) if config.destination else outputs["pushed_model"]
    version, note = versions.choose(folder, configured=config.version)
    path = None
    reasons = _objections(inputs)
    if not reasons:
        evaluation = _evaluation(inputs["evaluation"]) if "evaluation" in inputs else None
        if config.destination:
            target = copying.push(
                inputs["saved_model"], folder, evaluation=evaluation, version=version, context=context
            )
            if target.name != str(version):  # An interrupted push was complete already.
                version, note = int(target.name), ""
            path = str(target)
        else:
            # A step of a compiled pipeline writes its output in the bucket, where a server may watch.
            copying.copy(inputs["saved_model"], folder / str(version), evaluation=evaluation)
            # The runner moves the output folder when the stage is done, so a path inside it is given relative to it.
            path = str(version)
    report = dataclasses.asdict(Report(pushed=not reasons, version=version, path=path, reasons=reasons))
    (outputs["pushed_model"] / "pushed.json").write_text(json.dumps(report, indent=2))
    summaries.write(report, directory=context.tensorboard_dir)
    if reasons:
        return base.StageResult(summary=f"not pushed: {'; '.join(reasons)}", figures={"pushed": 0})
    place = f"to {path}" if config.destination else f"as version {version}"
    if note:
        logging.warning("pushed %s: %s", place, note)
    summary = f"pushed {place}; {note}" if note else f"pushed {place}"
    return base.StageResult(summary=summary, figures={"pushed": 1, "version": version})


def _evaluation(folder: epath.Path) -> bytes:
    """Returns what the Evaluator found, as it wrote it."""
    content = (folder / _METRICS).read_bytes()
    json.loads(content)  # Damage is to be found here, and not by who reads the copy.
    return content


def _objections(inputs: Mapping[str, epath.Path]) -> list[str]:
    """Returns the reasons not to push the model, or none if the Evaluator and the InfraValidator bless it."""
    reasons: list[str] = []
    for channel, file_name in _BLESSING_FILES.items():
        blessing = json.loads((inputs[channel] / file_name).read_text())
        if not blessing["blessed"]:
            reasons.extend(_reasons(blessing) or [f"{file_name} does not bless it"])
    return reasons


def _reasons(blessing: Mapping) -> list[str]:
    """Returns the reasons that a blessing file gives: its `reasons`, or the names of its failed `checks`."""
    if blessing.get("reasons"):
        return blessing["reasons"]
    failed = [name for name, check in blessing.get("checks", {}).items() if not check["passed"]]
    return [f"infra check failed: {', '.join(failed)}"] if failed else []
