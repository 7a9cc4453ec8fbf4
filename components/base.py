"""What a stage is: typed artifacts in, typed artifacts out, a frozen config and an executor.

The vocabulary (artifact, channel, component, executor) is TFX's. A component knows nothing of the others and
nothing of the runner: it is handed folders to read, folders to write and a `StageContext`, and the runner in
`pipeline/` decides when it runs, publishes what it wrote and records it in ML Metadata.
"""

import abc
import dataclasses
import enum
import types
from collections.abc import Mapping
from typing import ClassVar, Protocol

import pydantic
from etils import epath

# What a user of an exported SavedModel has to know, inside its folder.
EMBEDDING_INFO = "assets.extra/embedding_info.json"
NOTHING: Mapping[str, str] = types.MappingProxyType({})


class ArtifactType(str, enum.Enum):
    """Names of the artifact types, as they appear in ML Metadata (TFX's, plus the clips we generate)."""

    AUDIO_CLIPS = "AudioClips"
    EXAMPLES = "Examples"
    EXAMPLE_STATISTICS = "ExampleStatistics"
    EXAMPLE_ANOMALIES = "ExampleAnomalies"
    MODEL = "Model"
    MODEL_RUN = "ModelRun"
    MODEL_EVALUATION = "ModelEvaluation"
    MODEL_BLESSING = "ModelBlessing"
    INFRA_BLESSING = "InfraBlessing"
    PUSHED_MODEL = "PushedModel"


class StageConfig(pydantic.BaseModel):
    """Base of every stage's config: immutable, and a misspelt field or a wrong type is an error.

    Give every field a `description`: `diptych config` prints it.

    Class attributes:
        incidental: Fields that do not decide what the stage writes, such as where a job runs: changing them reruns
            nothing, and a stage that was stopped goes on where it was.
    """

    incidental: ClassVar[frozenset[str]] = frozenset()

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class Progress(Protocol):
    """Where a stage reports how far it is; the runner shows it on a terminal and in the log file."""

    def update(self, done: int, *, total: int, unit: str, **figures: float | int | str) -> None:
        """Reports `done` of `total` `unit`s (plural: "clips", "steps"), with any figures worth seeing.

        Cheap enough to be called for each step. Rate and time left are worked out from the calls themselves.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageContext:
    """What the runner lends an executor besides its inputs and outputs.

    Attributes:
        work_dir: Scratch folder. The same stage with the same config, code and inputs finds the same folder
            again after a kill, so checkpoints and finished shards go here; it is removed once the stage ends well.
        tensorboard_dir: Where this execution writes its event files.
        progress: See `Progress`.
        previous: Outputs of the stage's last finished execution, whatever its config, by channel; empty if there is
            none, or it is not intact.
    """

    work_dir: epath.Path
    tensorboard_dir: epath.Path
    progress: Progress
    previous: Mapping[str, epath.Path] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageResult:
    """What an executor returns.

    Attributes:
        summary: One line for the final table, e.g. "2,000 clips written, none quarantined".
        figures: The numbers behind it, kept as properties of the execution in ML Metadata.
    """

    summary: str
    figures: Mapping[str, float | int | str] = dataclasses.field(default_factory=dict)


class Component(abc.ABC):
    """One stage of the pipeline.

    Class attributes:
        inputs: Channel name -> artifact type of what the executor reads.
        optional_inputs: Those of `inputs` that may be left unconnected.
        outputs: Channel name -> artifact type of what it writes.
        Config: The stage's config class.
        code: Modules and packages whose source decides the result, besides the component's own. A change in
            them (comments and docstrings aside) makes the runner run the stage again.
    """

    inputs: ClassVar[Mapping[str, ArtifactType]] = types.MappingProxyType({})
    optional_inputs: ClassVar[frozenset[str]] = frozenset()
    outputs: ClassVar[Mapping[str, ArtifactType]]
    Config: ClassVar[type[StageConfig]] = StageConfig
    code: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: StageConfig | None = None):
        self.config = self.Config() if config is None else config

    @property
    def name(self) -> str:
        """The stage's name in the table, the metadata and on the command line."""
        return type(self).__name__

    def check(self) -> None:
        """Refuses what can be seen to fail before anything runs; called for every stage ahead of the first.

        Raises:
            UserError: naming the field and the way out.
        """

    def external_digests(self) -> Mapping[str, str]:
        """What the stage reads from outside the pipeline, as name -> fingerprint (cheap: names, sizes, times)."""
        return NOTHING

    def check_reused(self, *, outputs: Mapping[str, epath.Path], figures: Mapping[str, float | int | str]) -> None:
        """Refuses a finished execution that is about to stand for this stage: incidental fields may bound a result.

        Args:
            outputs: What it published, by channel.
            figures: Of its `StageResult`.

        Raises:
            UserError: naming the field and the way out.
        """

    @abc.abstractmethod
    def execute(
        self,
        *,
        inputs: Mapping[str, epath.Path],
        outputs: Mapping[str, epath.Path],
        context: StageContext,
    ) -> StageResult:
        """Does the work: reads the folders in `inputs`, writes into the (existing, empty) folders in `outputs`.

        A channel left unconnected is absent from `inputs`. Whatever is written elsewhere is lost.

        Raises:
            UserError: for what the user can put right; nothing is published then.
        """
