"""Shortens the times of `pipeline.lease` for tests."""

from beam_jobs import conditional_writes
from pipeline import lease, this_machine


def hurry(monkeypatch=None):
    """Makes leases expire after seconds, in a test until it ends, without `monkeypatch` until the process ends.

    A process does not see either that the holder of a lease has ended, as if it were on another machine.
    """
    for module, name, value in (
        (lease, "RENEW_S", 0.3),
        (lease, "EXPIRES_S", 5.0),
        (this_machine, "identity", lambda: ""),
        (conditional_writes, "SETTLE_S", 0.05),
    ):
        monkeypatch.setattr(module, name, value) if monkeypatch else setattr(module, name, value)
