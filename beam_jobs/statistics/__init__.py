"""The Beam job that computes statistics of a set of examples."""
