"""Embeds sound in bulk and stores the embeddings.

The stored form is in `info`, `table` (the rows of a Parquet file), `write` and `read`; `parquet` opens any such file.
`embedder` says what turns windows of sound into vectors; `windows` cuts sounds into windows and embeds them in batches.

`job` is the Beam job that embeds examples: `plan` says which clips go into which file, `shared` holds the embedders of
a process, `records` tell what is finished, and `publish` makes one folder of it.
"""
