import contextlib
import os
import pathlib
import resource
import subprocess
import sys

import pytest

from components import host_memory

PRINT_LIMITS = """
from components import host_memory
for limit in host_memory.limits():
    print(limit.place, limit.total, limit.free, limit.most, sep=";")
"""


def _printed_limits(prepare=None):
    """Returns what `limits` finds in a process of its own: place -> (total, free, most)."""
    command = [sys.executable, "-c", PRINT_LIMITS]
    output = subprocess.run(command, check=True, capture_output=True, text=True, preexec_fn=prepare).stdout
    rows = [line.split(";") for line in output.splitlines()]
    return {place: tuple(map(int, counts)) for place, *counts in rows}


def test_the_machine_has_less_memory_free_than_in_all():
    total, free, most = _printed_limits()["this machine"]
    assert 0 < free <= most < total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_without_files_of_linux_all_memory_counts_as_free(monkeypatch, tmp_path):
    monkeypatch.setattr(host_memory, "_PROC", tmp_path)
    (limit,) = host_memory.limits()
    assert limit.free == limit.most == limit.total == host_memory.total_bytes()


@pytest.mark.parametrize(("kind", "flag"), [(resource.RLIMIT_AS, "-v"), (resource.RLIMIT_DATA, "-d")])
def test_limits_of_the_process_count(kind, flag):
    limits = _printed_limits(lambda: resource.setrlimit(kind, (2**30, 2**30)))
    total, free, most = limits[f"this process (ulimit {flag})"]
    assert total == 2**30
    assert 0 < free == most < total


@pytest.mark.parametrize(
    ("line", "mount", "names"),
    [
        ("0::{group}", "", ("memory.max", "memory.current", "")),
        ("0::{group}", "unified", ("memory.max", "memory.current", "")),
        ("4:cpu,memory:{group}", "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")),
    ],
)
@pytest.mark.parametrize("limited", ["pod", "pod/job", "."])
def test_limits_of_all_enclosing_control_groups_count(monkeypatch, tmp_path, line, mount, names, limited):
    limit, usage, prefix = names
    for group in (".", "pod", "pod/job"):
        folder = tmp_path / "cgroups" / mount / group
        folder.mkdir(parents=True, exist_ok=True)
        unlimited = "max" if limit == "memory.max" else "9223372036854771712"
        (folder / limit).write_text(str(8 * 2**30) if group == limited else unlimited)
        (folder / usage).write_text(str(3 * 2**30))
        (folder / "memory.stat").write_text(f"cache 5\n{prefix}inactive_file {2**29}\n{prefix}active_file {2**29}\n")
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text(f"1:cpuset:/other\n{line.format(group='/pod/job')}\n")
    (tmp_path / "meminfo").write_text(pathlib.Path("/proc/meminfo").read_text())
    (tmp_path / "self" / "status").write_text(f"VmRSS: {2**20} kB\n")
    monkeypatch.setattr(host_memory, "_PROC", tmp_path)
    monkeypatch.setattr(host_memory, "_CGROUPS", tmp_path / "cgroups")
    limits = [found for found in host_memory.limits() if found.place == "this container"]
    assert {(found.total, found.free, found.most) for found in limits} == {(8 * 2**30, 6 * 2**30, 7 * 2**30)}


@contextlib.contextmanager
def _control_group(limit):
    """Makes a real control group of version 1 below this process' own, and yields it."""
    lines = pathlib.Path("/proc/self/cgroup").read_text().splitlines()
    paths = [line.split(":", 2)[2] for line in lines if line.split(":")[1] == "memory"]
    if not paths:
        pytest.skip("there is no control group of version 1 for memory")
    folder = pathlib.Path(f"/sys/fs/cgroup/memory{paths[0]}") / f"diptych-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"this user may not make a control group: {error}")
    try:
        (folder / "memory.limit_in_bytes").write_text(str(limit))
        yield folder
    finally:
        folder.rmdir()


def test_a_real_control_group_counts():
    with _control_group(2**30) as folder:
        limits = _printed_limits(lambda: (folder / "cgroup.procs").write_text(str(os.getpid())))
    total, free, most = limits["this container"]
    assert total == 2**30
    assert 2**29 < free <= most < total


def test_what_other_processes_hold_lessens_what_is_free_and_not_what_there_is_at_most():
    before = _printed_limits()["this machine"]
    holder = [sys.executable, "-c", "held = b'1' * 2**30; print(flush=True); input()"]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        during = _printed_limits()["this machine"]
        process.communicate(b"\n")
    assert before[1] - during[1] > 2**29
    assert abs(before[2] - during[2]) < 2**28


@pytest.mark.parametrize(
    ("count", "text"), [(60 * 2**20, "60 MiB"), (2.5 * 2**30, "2.5 GiB"), (31.2 * 2**30, "31 GiB")]
)
def test_numbers_of_bytes_are_short(count, text):
    assert host_memory.text(count) == text
