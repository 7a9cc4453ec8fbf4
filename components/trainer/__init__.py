"""The training loop."""

from components.trainer.component import Trainer
from components.trainer.config import AugmentConfig, EncodersConfig, FrontEndConfig, ModelConfig, TrainerConfig

__all__ = ["AugmentConfig", "EncodersConfig", "FrontEndConfig", "ModelConfig", "Trainer", "TrainerConfig"]
