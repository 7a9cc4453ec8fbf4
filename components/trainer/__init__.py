"""Trainer: learns the dual-format model from unlabeled audio."""

from components.trainer.component import Trainer
from components.trainer.config import TrainerConfig
from models.config import AugmentConfig, EncodersConfig, FrontEndConfig, ModelConfig

__all__ = ["AugmentConfig", "EncodersConfig", "FrontEndConfig", "ModelConfig", "Trainer", "TrainerConfig"]
