"""Runs, executions and artifacts as the runner sees them."""

import dataclasses
import enum
from collections.abc import Collection, Mapping

from etils import epath

from pipeline import digests
from pipeline.metadata.records import Value

REFUSED = "refused"
"""Why a stage whose gate was closed did not run."""


_EXTENDED = "extended"
"""Key in `CacheKey.external`."""


class State(enum.IntEnum):
    """State of an execution. The values are those of ML Metadata's `Execution.State`."""

    RUNNING = 2
    COMPLETE = 3
    FAILED = 4
    CACHED = 5
    CANCELED = 6

    @property
    def is_finished(self) -> bool:
        """Whether the execution has published outputs."""
        return self in FINISHED


FINISHED = (State.COMPLETE, State.CACHED)
"""States of executions that have published outputs."""


@dataclasses.dataclass(kw_only=True)
class Artifact:
    """A published folder.

    Attributes:
        type: Name of the artifact type.
        uri: Path of the folder.
        digest: Digest of the content of its files, except reports for people.
        listing: Digest of the names and sizes of its files; see `pipeline.listings.describe`.
        is_removed: Whether `diptych gc` has removed the folder.
        id: Id of the record, or None before the artifact is recorded.
        published_ms: When the artifact was recorded, in milliseconds since 1970.
    """

    type: str
    uri: str
    digest: str
    listing: str
    is_removed: bool = False
    id: int | None = None
    published_ms: int = dataclasses.field(default=0, compare=False)

    @property
    def folder(self) -> epath.Path:
        return epath.Path(self.uri)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CacheKey:
    """Everything that decides the outputs of a stage.

    Attributes:
        stage: Name of the stage.
        version: Version of its component; 0 in records of a Diptych that kept none.
        libraries: Name of a library -> its version.
        config: Fields of its config that decide the outputs, as JSON values.
        inputs: Input channel, except gates -> content digest of its artifact.
        external: Name -> digest of what the stage reads from outside the pipeline.
    """

    stage: str
    version: int
    libraries: Mapping[str, str]
    config: Mapping[str, object]
    inputs: Mapping[str, str]
    external: Mapping[str, str]

    @property
    def extended(self) -> str:
        """Digest of the cache key of the execution that this one extends, see `Component.extends`; "" for none."""
        return self.external.get(_EXTENDED, "")

    def extending(self, digest: str) -> "CacheKey":
        """Returns this key for an execution that extends the one with a digest; "" for none."""
        external = {name: value for name, value in self.external.items() if name != _EXTENDED}
        return dataclasses.replace(self, external={**external, **({_EXTENDED: digest} if digest else {})})

    @property
    def digest(self) -> str:
        """SHA-256 of all fields. Executions with equal digests write the same, except for times that they measure."""
        return digests.json_digest(dataclasses.asdict(self))

    def without(self, inputs: Collection[str]) -> "CacheKey":
        """Returns a key that leaves out some inputs."""
        rest = {channel: digest for channel, digest in self.inputs.items() if channel not in inputs}
        return dataclasses.replace(self, inputs=rest)


@dataclasses.dataclass(kw_only=True)
class Execution:
    """One stage in one run.

    Attributes:
        cache_key: What decides its outputs.
        code: Path of a module -> digest of the code that wrote the outputs. Not part of the cache key.
        state: See `State`.
        why: Why the stage ran or was skipped.
        summary: One line from the stage on what it did, or on what went wrong.
        seconds: How long it took.
        figures: Numbers that the stage reported.
        outputs: Output channel -> artifact. Empty until the execution is finished.
        id: Id of the record, or None before the execution is recorded.
        started_ms: When the execution was first recorded, in milliseconds since 1970.
    """

    cache_key: CacheKey
    code: Mapping[str, str] = dataclasses.field(default_factory=dict)
    state: State = State.RUNNING
    why: str = ""
    summary: str = ""
    seconds: float = 0.0
    figures: dict[str, Value] = dataclasses.field(default_factory=dict)
    outputs: dict[str, Artifact] = dataclasses.field(default_factory=dict)
    id: int | None = None
    started_ms: int = 0

    @property
    def stage(self) -> str:
        return self.cache_key.stage

    @property
    def folders(self) -> dict[str, epath.Path]:
        """Output channel -> published folder."""
        return {channel: artifact.folder for channel, artifact in self.outputs.items()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Use:
    """What one execution has to do with one artifact.

    Attributes:
        execution_id: The execution.
        channel: Its output or input channel.
        artifact: The artifact.
        is_output: Whether the execution wrote or reused the artifact. Otherwise it read it.
    """

    execution_id: int
    channel: str
    artifact: Artifact
    is_output: bool


@dataclasses.dataclass(kw_only=True)
class Run:
    """One call of `diptych run`.

    Attributes:
        name: Unique among the runs of a root.
        stages: Names of all stages of the pipeline, in order.
        preset: Name of the preset that the config started from.
        id: Id of the record, or None before the run is recorded.
        started_ms: When the run started, in milliseconds since 1970.
    """

    name: str
    stages: tuple[str, ...]
    preset: str = ""
    id: int | None = None
    started_ms: int = 0
