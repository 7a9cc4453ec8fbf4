"""The Beam job that turns audio files into shards of examples."""
