"""The Pusher's config."""

from typing import Annotated

import pydantic

from beam_jobs import storage
from components import model_versions
from components.base import StageConfig


class PusherConfig(StageConfig):
    """Where to push the model, and under which version."""

    destination: Annotated[str, pydantic.AfterValidator(storage.canonical)] | None = pydantic.Field(
        None,
        description="Folder that a model server watches, local or gs://; null: the model stays in the pipeline root.",
    )
    version: int | None = pydantic.Field(
        None,
        ge=1,
        le=model_versions.LARGEST,
        description="Version number of the pushed model; null: the time of the push, in seconds since 1970.",
    )
