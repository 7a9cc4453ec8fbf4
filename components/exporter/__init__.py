"""Exports the trained model as a SavedModel and validates it the way a server would load it."""

from components.exporter.component import Exporter
from components.exporter.config import ExporterConfig

__all__ = ["Exporter", "ExporterConfig"]
