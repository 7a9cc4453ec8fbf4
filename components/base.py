"""The contract between the stages and the runner: artifacts, configs, components and executors.

The vocabulary (artifact, channel, component, executor) is TFX's. A component knows neither the other components nor
the runner. It gets folders to read, folders to write and a `StageContext`. The runner in `pipeline/` decides when a
component runs, publishes what it wrote and records it in ML Metadata.
"""

import dataclasses
import enum
import importlib
import types
from collections.abc import Mapping, Sequence
from typing import ClassVar, Generic, Protocol, TypeVar

import pydantic
from etils import epath

Figures = Mapping[str, float | int | str]
"""Named results of an execution, kept as its properties in ML Metadata."""


class ArtifactType(str, enum.Enum):
    """Names of the artifact types in ML Metadata: those of TFX, and `AudioClips` for the generated corpus."""

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
    """Base class of the stages' configs. Configs are immutable, and unknown fields or wrong types are errors.

    Every field needs a `description`, because `diptych config` prints it.

    Class attributes:
        incidental: Fields that do not decide what the stage writes, such as where a Beam job runs. Changing them does
            not rerun the stage, and an interrupted stage resumes with other values of them.
    """

    incidental: ClassVar[frozenset[str]] = frozenset()

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageResult:
    """What an executor returns.

    Attributes:
        summary: One line for the table that ends a run, e.g. "2,000 clips written, none quarantined".
        figures: The numbers behind the summary.
    """

    summary: str
    figures: Figures = dataclasses.field(default_factory=dict)


class Progress(Protocol):
    """Receives the progress of a stage. The runner shows it on the terminal and in the log file."""

    def update(self, done: int, *, total: int, unit: str, **figures: float | int | str) -> None:
        """Reports that `done` of `total` units are done.

        The call is cheap enough for every training step. The receiver computes rate and remaining time.

        Args:
            done: Number of finished units.
            total: Number of units.
            unit: Name of the units in the plural, e.g. "clips".
            figures: Other numbers to show, by name.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageContext:
    """What the runner gives an executor besides inputs and outputs.

    Attributes:
        work_dir: Scratch folder for checkpoints and finished shards. If the stage is interrupted, its next execution
            with the same config, code and inputs gets the same folder. The runner removes it when the stage succeeds.
        tensorboard_dir: Where this execution writes its event files.
        progress: Receives the progress.
        previous: Outputs of the stage's last finished execution with any config, by channel. Empty if there is none
            or if it is damaged.
        earlier_work_dirs: Work folders of interrupted executions with another config, other code or other inputs.
    """

    work_dir: epath.Path
    tensorboard_dir: epath.Path
    progress: Progress
    previous: Mapping[str, epath.Path] = dataclasses.field(default_factory=dict)
    earlier_work_dirs: Sequence[epath.Path] = ()


ConfigT = TypeVar("ConfigT", bound=StageConfig)
ConfigT_contra = TypeVar("ConfigT_contra", bound=StageConfig, contravariant=True)


class Executor(Protocol[ConfigT_contra]):
    """The module that does the work of a stage, `components/<stage>/executor.py`. It may import TensorFlow and Beam."""

    def execute(
        self,
        config: ConfigT_contra,
        *,
        inputs: Mapping[str, epath.Path],
        outputs: Mapping[str, epath.Path],
        context: StageContext,
    ) -> StageResult:
        """Reads the folders in `inputs` and writes into the folders in `outputs`; see `Component.execute`."""


class Component(Generic[ConfigT]):
    """One stage of the pipeline: its channels, its config and the name of its executor.

    A component imports neither TensorFlow nor Beam, so that a run that skips every stage stays fast.

    Class attributes:
        inputs: Name of an input channel -> artifact type.
        optional_inputs: Input channels that may be left unconnected.
        early_inputs: Input channels that `check_inputs` reads. They may be published long before the stage runs.
        outputs: Name of an output channel -> artifact type.
        Config: Class of the stage's config.
        executor: Name of the module whose function `execute` does the work. It is imported when the stage runs.
        code: Modules and packages, besides the component's own package, whose source decides the result. If their
            source changes (other than in comments and docstrings), the runner runs the stage again.
    """

    inputs: ClassVar[Mapping[str, ArtifactType]] = types.MappingProxyType({})
    optional_inputs: ClassVar[frozenset[str]] = frozenset()
    early_inputs: ClassVar[frozenset[str]] = frozenset()
    outputs: ClassVar[Mapping[str, ArtifactType]]
    Config: ClassVar[type[StageConfig]] = StageConfig
    executor: ClassVar[str]
    code: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: ConfigT | None = None):
        self.config: ConfigT = self.Config() if config is None else config

    @property
    def name(self) -> str:
        """The stage's name in tables, in the metadata and on the command line."""
        return type(self).__name__

    def check(self) -> None:
        """Checks the config. The runner calls this for all stages before the first one runs.

        Raises:
            UserError: The stage would fail. The message names the field and the way out.
        """

    def check_inputs(self, inputs: Mapping[str, epath.Path]) -> None:
        """Checks the `early_inputs`. The runner calls this as soon as they are published, in every run.

        It saves a user from a long training that the stage could not use. It is cheap and writes nothing.

        Args:
            inputs: Folder of each connected channel of `early_inputs`.

        Raises:
            UserError: The stage would fail. The message names the field and the way out.
        """

    def external_digests(self) -> Mapping[str, str]:
        """Returns digests of what the stage reads from outside the pipeline, by name.

        Digests are cheap: they may cover names, sizes and times instead of content.
        """
        return {}

    def check_reused(self, *, outputs: Mapping[str, epath.Path], figures: Figures) -> None:
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
            outputs: Folder of each output channel. The folders exist and are empty. Files written elsewhere are not
                published.
            context: What the runner provides.

        Raises:
            UserError: The user can correct the cause. Nothing is published.
        """
        executor: Executor[ConfigT] = importlib.import_module(self.executor)
        return executor.execute(self.config, inputs=inputs, outputs=outputs, context=context)
