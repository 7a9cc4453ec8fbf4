"""What an experiment leaves: tables for people and programs, a plot, and runs to compare in TensorBoard."""
