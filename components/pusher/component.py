"""Pusher: copies a blessed SavedModel to `<destination>/<version>/`, TensorFlow Serving's layout."""

import json
import time
from collections.abc import Mapping
from typing import ClassVar

import pydantic
from etils import epath

from beam_jobs import storage
from components import base
from components.errors import UserError

_BLESSINGS = {"blessing": "blessing.json", "infra_blessing": "infra_blessing.json"}


class PusherConfig(base.StageConfig):
    """Where to push."""

    destination: str | None = pydantic.Field(
        None,
        description="Folder a model server watches, local or gs://; null keeps it in the pipeline root.",
    )
    version: int | None = pydantic.Field(
        None, ge=1, description="Version number of the pushed model; null takes the time, in seconds since 1970."
    )


class Pusher(base.Component):
    """Pushes if both the Evaluator and the InfraValidator bless; otherwise says why not, which is no error.

    The output holds `pushed.json` with `pushed`, `path`, `version` and `reasons`, and the model itself if there is no
    destination.
    """

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "saved_model": base.ArtifactType.MODEL,
        "blessing": base.ArtifactType.MODEL_BLESSING,
        "infra_blessing": base.ArtifactType.INFRA_BLESSING,
    }
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {"pushed_model": base.ArtifactType.PUSHED_MODEL}
    Config = PusherConfig

    def check(self) -> None:
        destination = self.config.destination
        if not destination:
            return
        try:
            folder = epath.Path(destination)
            is_other = folder.exists() and not folder.is_dir()
        except Exception as error:  # gs:// and the like have errors of their own
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"pusher.destination {destination} cannot be used ({reason}): give another.") from error
        if is_other:
            raise UserError(f"pusher.destination {destination} is not a folder: give one for a model server to watch.")

    def execute(
        self,
        *,
        inputs: Mapping[str, epath.Path],
        outputs: Mapping[str, epath.Path],
        context: base.StageContext,
    ) -> base.StageResult:
        version = self.config.version or int(time.time())
        reasons = _refusals(inputs)
        report = {"pushed": not reasons, "version": version, "path": None, "reasons": reasons}
        if not reasons:
            destination = self.config.destination
            folder = epath.Path(destination) if destination else outputs["pushed_model"]
            push(inputs["saved_model"], folder, version=version)
            # Inside the pipeline root the output is still to be moved into place: name the version alone.
            report["path"] = str(folder / str(version)) if destination else str(version)
        (outputs["pushed_model"] / "pushed.json").write_text(json.dumps(report, indent=2))
        _summaries(report, context=context)
        if reasons:
            return base.StageResult(summary=f"not pushed: {'; '.join(reasons)}", figures={"pushed": 0})
        place = f"to {report['path']}" if self.config.destination else f"as version {version}"
        return base.StageResult(summary=f"pushed {place}", figures={"pushed": 1, "version": version})


def push(saved_model: epath.Path, folder: epath.Path, *, version: int) -> epath.Path:
    """Copies a SavedModel to `<folder>/<version>`, whole or not at all.

    The copy is made under a name that is no number, which model servers ignore, and then renamed.

    Raises:
        UserError: if that version is already there, or the folder cannot be written.
    """
    target = folder / str(version)
    if target.exists():
        raise UserError(f"{target} exists already: choose another pusher.version, or null for the time of the push.")
    temporary = folder / f"incomplete-{version}"
    try:
        storage.remove_tree(temporary)
        storage.copy_tree(saved_model, temporary)
        temporary.rename(target)
    except OSError as error:
        raise UserError(f"cannot push to {folder} ({error}): choose another pusher.destination.") from error
    return target


def _refusals(inputs: Mapping[str, epath.Path]) -> list[str]:
    """Why the model may not be pushed; empty if both bless it."""
    reasons = []
    for channel, name in _BLESSINGS.items():
        verdict = json.loads((inputs[channel] / name).read_text())
        if not verdict["blessed"]:
            failed = [key for key, check in verdict.get("checks", {}).items() if not check["passed"]]
            stated = verdict.get("reasons") or ([f"infra check failed: {', '.join(failed)}"] if failed else [])
            reasons += stated or [f"{name} does not bless it"]
    return reasons


def _summaries(report: Mapping, *, context: base.StageContext) -> None:
    import tensorflow as tf

    from components import tensorboard

    with tensorboard.writer(context.tensorboard_dir).as_default(step=0):
        tf.summary.text("pushed", tensorboard.markdown_table(("field", "value"), list(report.items())))
