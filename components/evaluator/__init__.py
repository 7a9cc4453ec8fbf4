"""Probes the frozen embeddings and decides whether the model is good enough to be served."""

from components.evaluator.component import Evaluator
from components.evaluator.config import EvaluatorConfig

__all__ = ["Evaluator", "EvaluatorConfig"]
