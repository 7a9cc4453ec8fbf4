"""The networks and the objective, written with `keras` and `keras.ops` alone: no files, no pipeline, no flags."""
