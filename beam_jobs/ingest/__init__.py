"""The Beam job that decodes the clips of a source and writes them as shards of examples."""
