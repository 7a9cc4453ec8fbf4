"""ExampleValidator: checks whether the examples are fit to train on."""

from components.example_validator.component import ExampleValidator
from components.example_validator.config import ExampleValidatorConfig

__all__ = ["ExampleValidator", "ExampleValidatorConfig"]
