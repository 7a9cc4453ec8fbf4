"""Brings a model that was trained elsewhere into the pipeline."""

from components.importer.component import Importer
from components.importer.config import ImporterConfig
from components.importer.model_folder import read_model_config

__all__ = ["Importer", "ImporterConfig", "read_model_config"]
