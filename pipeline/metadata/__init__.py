"""Records runs, executions and artifacts in ML Metadata."""
