"""Probes the frozen embeddings and decides whether the model is worth serving."""

from components.evaluator.component import Evaluator, EvaluatorConfig

__all__ = ["Evaluator", "EvaluatorConfig"]
