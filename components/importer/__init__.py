"""Takes a model that was trained elsewhere into the pipeline."""

from components.importer.component import Importer, ImporterConfig, read_model_config

__all__ = ["Importer", "ImporterConfig", "read_model_config"]
