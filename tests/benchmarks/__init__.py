"""Benchmarks and their results. They run TensorFlow with the settings of the `diptych` command."""

from pipeline import tensorflow_settings

tensorflow_settings.apply()
