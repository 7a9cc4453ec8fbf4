"""The training loop."""

from components.trainer.component import Trainer
from components.trainer.config import AugmentConfig, EncodersConfig, ModelConfig, TrainerConfig

__all__ = ["AugmentConfig", "EncodersConfig", "ModelConfig", "Trainer", "TrainerConfig"]
