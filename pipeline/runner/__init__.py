"""Runs the stages of a pipeline in order and skips those that have not changed."""
