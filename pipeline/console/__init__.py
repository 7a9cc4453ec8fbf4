"""Shows a run on the terminal and writes its log file."""
