"""The Trainer's channels, and the checks of its config and of its gate."""

from collections.abc import Mapping
from typing import ClassVar

from etils import epath

from beam_jobs import storage
from components import base
from components.errors import UserError
from components.trainer import augmentation, checks, devices, initial_model
from components.trainer.config import TrainerConfig
from models import compatibility

CHECKPOINTS = "checkpoints"
"""Folder in `work` and in `model_run`."""

HISTORY = "history.csv"
"""File in `work` and in `model_run`."""


class Trainer(base.Component[TrainerConfig]):
    """Learns the dual-format model from the train split, without labels.

    Writes `model/` (`model.keras`; `initial.keras`, the untrained model; `training.json`) and `model_run/`
    (`history.csv`; `checkpoints`, from which a run with more steps goes on). A run that was stopped resumes from its
    last checkpoint when the same stage runs again.
    """

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "examples": base.ArtifactType.EXAMPLES,
        "anomalies": base.ArtifactType.EXAMPLE_ANOMALIES,
    }
    optional_inputs: ClassVar[frozenset[str]] = frozenset({"anomalies"})
    gates: ClassVar[frozenset[str]] = frozenset({"anomalies"})
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "model": base.ArtifactType.MODEL,
        "model_run": base.ArtifactType.MODEL_RUN,
    }
    reports: ClassVar[frozenset[str]] = frozenset({HISTORY})
    Config = TrainerConfig
    executor = "components.trainer.executor"
    version: ClassVar[int] = 2
    amount: ClassVar[str] = "steps"
    # scikit-learn scored the validations once. Without its name here, every Trainer would run again.
    libraries: ClassVar[tuple[str, ...]] = ("keras", "scikit-learn", "tensorflow")
    shows: ClassVar[Mapping[base.Tab, str]] = {
        "scalars": "loss, validation, times, memory",
        "images": "crops, similarities",
        "audio": "crops to hear",
        "text": "config",
        "hparams": "config, to compare runs",
    }

    @property
    def can_extend(self) -> bool:
        return self.config.extend

    def check(self) -> None:
        config, model = self.config, self.config.model
        try:
            compatibility.embedding_dim(model)
            compatibility.check_norms(model)
            compatibility.check_inputs(model)
        except ValueError as error:
            raise UserError(f"trainer.model: {error}.") from error
        format_a, format_b = model.format_names
        augmentation.check("a", model.augment_a, model=model, format_name=format_a)
        augmentation.check("b", model.augment_b, model=model, format_name=format_b)
        checks.check_batch_size(config, replicas=1)  # What does not fit one replica fits no number of them.
        checks.check_schedules(config)
        checks.check_tpu(config)
        if config.initial_model is not None:
            initial_model.check(config)

    def external_digests(self) -> Mapping[str, str]:
        if self.config.initial_model is None:
            return {}
        return {"initial_model": initial_model.find(self.config.initial_model).digest()}

    def read_paths(self) -> Mapping[str, str]:
        return {} if self.config.initial_model is None else {"initial_model": self.config.initial_model}

    def extends(self, config: Mapping[str, object], *, outputs: Mapping[str, epath.Path]) -> int:
        """A training with more steps goes on from the last checkpoint of one whose config is otherwise the same."""
        steps = self.steps_of(config)
        return steps if steps < self.config.steps and storage.is_folder(outputs["model_run"] / CHECKPOINTS) else 0

    def steps_of(self, config: Mapping[str, object]) -> int:
        """Returns the steps of an earlier training that differs from this one in no other field; 0 for any other.

        Args:
            config: The deciding fields of the earlier training, as they are recorded.
        """
        wanted, steps = self.resolved_config().deciding(), config.get("steps")
        # An earlier version of Diptych recorded inert fields as they were.
        like_wanted = {name: wanted[name] for name in ("steps", *self.config.inert()) if name in config}
        return steps if isinstance(steps, int) and {**config, **like_wanted} == wanted else 0

    def resolved_config(self) -> TrainerConfig:
        if self.config.precision != "auto":
            return self.config
        precision = "bfloat16" if devices.trains_on_tpu(self.config.strategy, tpu=self.config.tpu) else "float32"
        return self.config.model_copy(update={"precision": precision})

    def check_gate(self, channel: str, folder: epath.Path) -> None:
        checks.check_anomalies(folder)
