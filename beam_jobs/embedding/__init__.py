"""Embeds sound in bulk and stores the embeddings.

The stored form is in `info`, `table` (the rows of a Parquet file) and `read`. `embedder` says what turns windows of
sound into vectors; `windows` cuts sounds into windows and embeds them in batches.
"""
