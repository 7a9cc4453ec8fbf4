"""The Beam job that computes the statistics of a set of examples."""
