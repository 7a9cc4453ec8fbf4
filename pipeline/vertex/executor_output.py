"""Tells KFP what a step wrote, so that Vertex ML Metadata holds digests and figures beside the URIs."""

import json
import math
from collections.abc import Mapping

from etils import epath

from components.base import Component
from components.errors import UserError
from pipeline.metadata.records import Value
from pipeline.runner.one_component import Finished

_MOUNT = "/gcs/"


def unmounted(path: str) -> str:
    """Returns the URL of a path where KFP and Vertex AI mount the buckets, of /gcs/bucket/name; others as they are."""
    return f"gs://{path.removeprefix(_MOUNT)}" if path.startswith(_MOUNT) else path


def check(executor_input: str) -> None:
    """Checks that a text can be handed to `write`.

    Raises:
        UserError: It is not KFP's.
    """
    try:
        given = json.loads(executor_input)
        _ = given["outputs"]["outputFile"], given["outputs"].get("artifacts", {})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            "--executor-input is not what KFP puts in the place of {{$}}: leave it out where KFP does not run the step."
        ) from error


def write(executor_input: str, component: Component, finished: Finished) -> None:
    """Writes the file that KFP reads after a step: each artifact with metadata.

    Args:
        executor_input: The JSON that KFP puts in the place of `{{$}}`, see `ExecutorInput` in its pipeline_spec.proto.
        component: What ran.
        finished: What came of it.
    """
    outputs = json.loads(executor_input)["outputs"]
    metadata = _metadata(component, finished)
    artifacts = {
        channel: {
            "artifacts": [
                {"name": one["name"], "uri": one["uri"], "metadata": metadata | {"digest": finished.digests[channel]}}
                for one in given["artifacts"]
            ]
        }
        for channel, given in outputs.get("artifacts", {}).items()
    }
    file = _place(outputs["outputFile"])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"artifacts": artifacts}))


def _place(output_file: str) -> epath.Path:
    """Returns where KFP finds its file: on Vertex AI in a mounted bucket, whose mount not every user may write to."""
    return epath.Path(unmounted(output_file))


def _metadata(component: Component, finished: Finished) -> Mapping[str, Value]:
    """Returns what every output of a step gets: who wrote it, and the figures that JSON can hold."""
    figures = {
        name: value
        for name, value in finished.result.figures.items()
        if not isinstance(value, float) or math.isfinite(value)
    }
    own = {"stage": component.name, "component_version": component.version, "summary": finished.result.summary}
    return {**figures, **own}
