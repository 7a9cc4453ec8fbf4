"""Whether the examples are fit to train on."""

from components.example_validator.component import ExampleValidator, ExampleValidatorConfig

__all__ = ["ExampleValidator", "ExampleValidatorConfig"]
