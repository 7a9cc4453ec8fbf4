"""What a stage is: typed artifacts in, typed artifacts out, a frozen config and an executor.

The vocabulary (artifact, channel, component, executor) is TFX's. A component knows nothing of the others and
nothing of the runner: it is handed folders to read, folders to write and a `StageContext`, and the runner in
`pipeline/` decides when it runs, publishes what it wrote and records it in ML Metadata.
"""

import dataclasses
import enum
import importlib
import types
from collections.abc import Mapping
from typing import ClassVar, Generic, Protocol, TypeVar

import pydantic
from etils import epath

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


Config = TypeVar("Config", bound=StageConfig)
Config_contra = TypeVar("Config_contra", bound=StageConfig, contravariant=True)


class Executor(Protocol[Config_contra]):
    """The module that does a stage's work, `components/<stage>/executor.py`; it may import TensorFlow and Beam."""

    def execute(
        self,
        config: Config_contra,
        *,
        inputs: Mapping[str, epath.Path],
        outputs: Mapping[str, epath.Path],
        context: StageContext,
    ) -> StageResult:
        """Reads the folders in `inputs` and writes into the folders in `outputs`; see `Component.execute`."""


class Component(Generic[Config]):
    """One stage of the pipeline: its channels, its config and the name of its executor.

    A component is light: it imports neither TensorFlow nor Beam, so that a run that skips every stage stays fast.

    Class attributes:
        inputs: Name of an input channel -> artifact type.
        optional_inputs: Input channels that may be left unconnected.
        outputs: Name of an output channel -> artifact type.
        Config: The class of the stage's config.
        executor: Name of the module whose function `execute` does the work. It is imported when the stage runs.
        code: Modules and packages, besides the component's own, whose source decides the result. If their source
            changes (other than in comments and docstrings), the runner runs the stage again.
    """

    inputs: ClassVar[Mapping[str, ArtifactType]] = types.MappingProxyType({})
    optional_inputs: ClassVar[frozenset[str]] = frozenset()
    outputs: ClassVar[Mapping[str, ArtifactType]]
    Config: ClassVar[type[StageConfig]] = StageConfig
    executor: ClassVar[str]
    code: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: Config | None = None):
        self.config: Config = self.Config() if config is None else config

    @property
    def name(self) -> str:
        """The stage's name in tables, in the metadata and on the command line."""
        return type(self).__name__

    def check(self) -> None:
        """Checks the config before any stage runs.

        Raises:
            UserError: The stage would fail. The message names the field and the way out.
        """

    def external_digests(self) -> Mapping[str, str]:
        """Returns digests of what the stage reads from outside the pipeline, by name.

        Digests are cheap: they may cover names, sizes and times instead of content.
        """
        return NOTHING

    def check_reused(self, *, outputs: Mapping[str, epath.Path], figures: Mapping[str, float | int | str]) -> None:
        """Checks a finished execution before the runner reuses its outputs instead of running the stage.

        Incidental fields do not decide what a stage writes, but they may bound which result is acceptable.

        Args:
            outputs: Published folders of that execution, by output channel.
            figures: The figures of its `StageResult`.

        Raises:
            UserError: The result is not acceptable. The message names the field and the way out.
        """

    def execute(
        self,
        *,
        inputs: Mapping[str, epath.Path],
        outputs: Mapping[str, epath.Path],
        context: StageContext,
    ) -> StageResult:
        """Imports the executor and does the work.

        Args:
            inputs: Folder of each connected input channel.
            outputs: Folder of each output channel. The folders exist and are empty. Files written elsewhere are lost.
            context: See `StageContext`.

        Raises:
            UserError: The user can correct the cause. Nothing is published.
        """
        executor: Executor[Config] = importlib.import_module(self.executor)
        return executor.execute(self.config, inputs=inputs, outputs=outputs, context=context)
