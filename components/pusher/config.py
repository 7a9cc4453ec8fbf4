"""The Pusher's config."""

import pydantic

from components.base import StageConfig


class PusherConfig(StageConfig):
    """Where to push the model, and under which version."""

    destination: str | None = pydantic.Field(
        None,
        description="Folder that a model server watches, local or gs://; null: the model stays in the pipeline root.",
    )
    version: int | None = pydantic.Field(
        None,
        ge=1,
        description="Version number of the pushed model; null: the time of the push, in seconds since 1970.",
    )
