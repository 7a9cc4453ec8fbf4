"""Benchmarks and what they measured; they run TensorFlow as the `diptych` command does."""

from pipeline import tensorflow_settings

tensorflow_settings.apply()
