"""What a run shows on the terminal and writes to its log file."""
