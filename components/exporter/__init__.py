"""Turns the trained model into a SavedModel for serving, and checks it as a server would load it."""

from components.exporter.component import Exporter, ExporterConfig

__all__ = ["Exporter", "ExporterConfig"]
