"""The typed config of the whole pipeline, its presets and overrides."""
