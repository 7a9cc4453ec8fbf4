"""Uses exported models outside the pipeline."""
