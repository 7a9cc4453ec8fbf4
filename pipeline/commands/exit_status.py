"""Exit statuses of `diptych`. A process that a signal stopped has `Interrupted.exit_status`."""

OK = 0
BUG = 1
USER_ERROR = 2
TOO_MANY_QUARANTINED = 3
"""`diptych embed` has written its output, but more files than `--max-quarantine` allows are missing in it."""
