"""Runs the stages of a pipeline, in order, and skips those whose cache key is known."""
