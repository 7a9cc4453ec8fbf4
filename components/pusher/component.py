"""Pusher: copies a blessed SavedModel to `<destination>/<version>/`, the layout of TensorFlow Serving."""

from collections.abc import Mapping
from typing import ClassVar

from etils import epath

from beam_jobs import storage
from components import base, file_errors
from components.errors import UserError
from components.pusher.config import PusherConfig


class Pusher(base.Component[PusherConfig]):
    """Pushes the model if both the Evaluator and the InfraValidator bless it.

    Otherwise the stage succeeds without pushing and says why. The copy also gets what the Evaluator found, its
    `metrics.json`, as `assets.extra/evaluation.json`. Writes `pushed.json` (`pushed`, `version`, `path`,
    `reasons`), and the model itself if no destination is configured.
    """

    # The blessings are inputs, not gates: what they say decides what `pushed.json` says, and without them the stage
    # still succeeds.
    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "saved_model": base.ArtifactType.MODEL,
        "blessing": base.ArtifactType.MODEL_BLESSING,
        "infra_blessing": base.ArtifactType.INFRA_BLESSING,
        "evaluation": base.ArtifactType.MODEL_EVALUATION,
    }
    optional_inputs: ClassVar[frozenset[str]] = frozenset({"evaluation"})
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {"pushed_model": base.ArtifactType.PUSHED_MODEL}
    Config = PusherConfig
    executor = "components.pusher.executor"
    version: ClassVar[int] = 2
    shows: ClassVar[Mapping[base.Tab, str]] = {"text": "what was pushed, or why not"}

    def check(self) -> None:
        destination = self.config.destination
        if not destination:
            return
        try:
            folder = epath.Path(destination)
            is_other = not storage.is_folder(folder) and folder.exists()
        except Exception as error:  # Remote file systems raise errors of many types.
            reason = file_errors.reason(error)
            raise UserError(f"pusher.destination {destination} cannot be used ({reason}): give another.") from error
        if is_other:
            raise UserError(f"pusher.destination {destination} is not a folder: give one for a model server to watch.")
