"""Evaluates any model on any labeled audio: `diptych evaluate`."""
