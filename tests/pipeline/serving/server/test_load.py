"""A real model under more load than it can bear, and under attack. `tests.benchmarks.serving` measures the same."""

import concurrent.futures
import pathlib
import re
import signal

import pytest

from tests.benchmarks import load
from tests.pipeline.serving.server.test_process import serving

pytestmark = pytest.mark.slow

WINDOW = 8000


def resident_mib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def test_too_many_requests_lose_nothing_and_take_no_memory(exported):
    with serving(exported, "--max-requests", "16") as (process, url):
        request = load.clip("binary", WINDOW)
        usual = load.run(url, lambda: request, seconds=5, clients=8)
        assert set(usual["statuses"]) == {"200"}
        before = resident_mib(process.pid)
        flooded = load.run(url, lambda: request, seconds=15, clients=200, rate=10 * usual["per_s"])
        assert set(flooded["statuses"]) == {"200", "429"}
        assert resident_mib(process.pid) < before + 100
        again = load.run(url, lambda: request, seconds=2, clients=8)
        assert set(again["statuses"]) == {"200"}


def test_an_attack_costs_those_who_behave_no_answer(exported):
    with serving(exported, "--read-timeout", "3") as (process, url):
        request = load.clip("json", WINDOW)
        with concurrent.futures.ThreadPoolExecutor(2) as threads:
            bad = threads.submit(load.attack, url, seconds=15)
            good = threads.submit(load.run, url, lambda: request, seconds=15, clients=4)
        assert set(good.result()["statuses"]) == {"200"}
        statuses = {int(status) for status in bad.result()["statuses"]}
        assert statuses <= {200, *range(400, 500)}  # A thousand clips of one sample are a request like others.
        before = resident_mib(process.pid)
        load.attack(url, seconds=10)
        assert resident_mib(process.pid) < before + 100
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
