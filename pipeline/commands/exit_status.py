"""Exit statuses of `diptych`. A process that a signal stopped has `Interrupted.exit_status`."""

OK = 0
BUG = 1
USER_ERROR = 2
