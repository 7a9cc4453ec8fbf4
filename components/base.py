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
from typing import ClassVar, Generic, Literal, Protocol, TypeVar

from etils import epath

from beam_jobs import google_path as google_path  # Paths of buckets, for all stages.
from components import damaged_examples
from components.stage_config import StageConfig

Figures = Mapping[str, float | int | str]
"""Named results of an execution, kept as its properties in ML Metadata."""

Tab = Literal["audio", "hparams", "images", "pr_curves", "projector", "scalars", "text"]
"""A tab of TensorBoard, as its address names it."""


class ArtifactType(str, enum.Enum):
    """Names of the artifact types in ML Metadata: those of TFX, and `AudioClips` and `Embeddings`."""

    AUDIO_CLIPS = "AudioClips"
    EXAMPLES = "Examples"
    EXAMPLE_STATISTICS = "ExampleStatistics"
    EXAMPLE_ANOMALIES = "ExampleAnomalies"
    MODEL = "Model"
    MODEL_RUN = "ModelRun"
    EMBEDDINGS = "Embeddings"
    MODEL_EVALUATION = "ModelEvaluation"
    MODEL_BLESSING = "ModelBlessing"
    INFRA_BLESSING = "InfraBlessing"
    PUSHED_MODEL = "PushedModel"


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
            with the same cache key gets the same folder. The runner removes it when the stage succeeds, unless
            `Component.unfinished` says that something is left to do.
        tensorboard_dir: Where this execution writes its event files.
        progress: Receives the progress.
        previous: Outputs of the stage's last finished execution with any config, by channel. Empty if there is none
            or if it is damaged. It is not part of the cache key, so it may only change what a stage says, never the
            content of its outputs. What decides the outputs is an input, see `Component.earlier_inputs`.
        earlier_work_dirs: Work folders of interrupted executions with another cache key. The same holds for them.
        extended: Outputs of the finished execution that this one extends, by channel; empty if it extends none. It is
            part of the cache key, see `Component.extends`. None if nothing will ever extend this execution.
    """

    work_dir: epath.Path
    tensorboard_dir: epath.Path
    progress: Progress
    previous: Mapping[str, epath.Path] = dataclasses.field(default_factory=dict)
    earlier_work_dirs: Sequence[epath.Path] = ()
    extended: Mapping[str, epath.Path] | None = None


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
        """Reads the folders in `inputs`, without the gates, and writes into `outputs`; see `Component.execute`."""


class Component(Generic[ConfigT]):
    """One stage of the pipeline: its channels, its config and the name of its executor.

    A component imports neither TensorFlow nor Beam, so that a run that skips every stage stays fast.

    Class attributes:
        inputs: Name of an input channel -> artifact type.
        optional_inputs: Input channels that may be left unconnected.
        gates: Input channels that only decide whether the stage may go on. `check_gate` reads them in every run,
            whether the stage runs or is reused. The executor does not get them, and their content is not part of the
            cache key: a changed warning does not train a model again.
        earlier_inputs: Input channel -> the input channel whose last different content it gets, from an earlier run. It
            is never connected, and is missing in the first run.
        checked_inputs: Input channels that `check_inputs` reads as soon as they are published, in every run.
        outputs: Name of an output channel -> artifact type.
        reports: Names of files in the outputs that only people read. They are not content of the outputs: no later
            stage runs again because of them.
        Config: Class of the stage's config.
        executor: Name of the module whose function `execute` does the work. It is imported when the stage runs.
        version: Version of the code. Raise it when the same config and inputs give other outputs than before: every
            user's stage then runs again. A test fails if the code changes and nobody has decided, see CONTRIBUTING.md.
        amount: Name of the config's field that the duration is in proportion to, such as a number of steps, and of the
            figure that tells how much was done. It is only for what is said of the time that the stage will take.
        libraries: Names of the distributions whose versions decide the outputs. Another version runs the stage again.
        can_extend: Whether the stage goes on from a finished execution where it can, see `extends`.
        shows: Name of a tab of TensorBoard -> what the stage shows there, in a few words for the overview of the run.
    """

    inputs: ClassVar[Mapping[str, ArtifactType]] = types.MappingProxyType({})
    optional_inputs: ClassVar[frozenset[str]] = frozenset()
    gates: ClassVar[frozenset[str]] = frozenset()
    earlier_inputs: ClassVar[Mapping[str, str]] = types.MappingProxyType({})
    checked_inputs: ClassVar[frozenset[str]] = frozenset()
    outputs: ClassVar[Mapping[str, ArtifactType]]
    reports: ClassVar[frozenset[str]] = frozenset()
    Config: ClassVar[type[StageConfig]] = StageConfig
    executor: ClassVar[str]
    version: ClassVar[int] = 1
    amount: ClassVar[str] = ""
    libraries: ClassVar[tuple[str, ...]] = ()
    can_extend: bool = False
    shows: ClassVar[Mapping[Tab, str]] = types.MappingProxyType({})

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

    def resolved_config(self) -> ConfigT:
        """Returns the config with a value for each field that leaves the choice to the machine, such as "auto".

        The cache key holds this config, and the executor gets it.
        """
        return self.config

    def check_gate(self, channel: str, folder: epath.Path) -> None:
        """Checks whether the stage may go on. The runner calls this in every run, also before it reuses outputs.

        Args:
            channel: Name of a gate.
            folder: What its channel carries.

        Raises:
            UserError: The gate is closed. The message says why, and the way out.
        """

    def check_inputs(self, inputs: Mapping[str, epath.Path]) -> None:
        """Checks the `checked_inputs`. The runner calls this as soon as they are published, in every run.

        It saves a user from a long training that the stage could not use. It is cheap and writes nothing.

        Args:
            inputs: Folder of each connected channel of `checked_inputs`.

        Raises:
            UserError: The stage would fail. The message names the field and the way out.
        """

    def external_digests(self) -> Mapping[str, str]:
        """Returns digests of what the stage reads from outside the pipeline, by name.

        Digests are cheap: they may cover names, sizes and times instead of content.
        """
        return {}

    def read_paths(self) -> Mapping[str, str]:
        """Returns the paths of what the stage reads because its config names it, by name.

        Such a path may lie in what an earlier run has published. The runner then records that as an input, so that the
        lineage shows it and `diptych gc` keeps it. What only ever lies outside of a root need not be named.
        """
        return {}

    def unfinished(self, figures: Figures) -> str:
        """Returns why a finished execution is not reused but continued, in its work folder; "" if there is no reason.

        A stage that has met failures which may pass, such as those of a network, publishes what it could do, and does
        the rest in the next run.

        Args:
            figures: The figures of its `StageResult`.
        """
        return ""

    def extends(self, config: Mapping[str, object], *, outputs: Mapping[str, epath.Path]) -> int:
        """Returns how much of this stage's work a finished execution has done that it can go on from; 0 for none.

        The runner asks if `can_extend`, of executions with the same version, libraries and inputs. It takes the one
        that has done most, and gives its outputs to the executor as `StageContext.extended`.

        Args:
            config: What `StageConfig.deciding` returned of its config.
            outputs: Its published folders, by output channel.
        """
        return 0

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
        """Checks the gates, imports the executor and does the work.

        Args:
            inputs: Folder of each connected input channel.
            outputs: Folder of each output channel. The folders exist and are empty. Files written elsewhere are not
                published.
            context: What the runner provides.

        Raises:
            UserError: The user can correct the cause. Nothing is published.
            DamagedFile: The examples do not hold what was written.
        """
        for channel in self.gates & set(inputs):
            self.check_gate(channel, inputs[channel])
        content = {channel: folder for channel, folder in inputs.items() if channel not in self.gates}
        executor: Executor[ConfigT] = importlib.import_module(self.executor)
        examples = [folder for channel, folder in content.items() if self.inputs[channel] == ArtifactType.EXAMPLES]
        with damaged_examples.named(examples):
            return executor.execute(self.resolved_config(), inputs=content, outputs=outputs, context=context)
