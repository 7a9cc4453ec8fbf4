"""How much memory this machine, its containers and the limits of this process still give.

It reads files of Linux, without which all memory of the machine counts as free, and imports nothing heavy, because the
command line sets TensorFlow's pool by it.
"""

import dataclasses
import os
import pathlib
import resource
from collections.abc import Iterator

_PROC = pathlib.Path("/proc")
_CGROUPS = pathlib.Path("/sys/fs/cgroup")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limit:
    """One thing that bounds the memory of this process.

    Attributes:
        place: What it is, as the subject of a sentence, e.g. "this machine".
        total: Bytes in all.
        free: Bytes that may still be taken now.
        most: Bytes that this process could still take if no other one took any. They are at least `free`.
    """

    place: str
    total: int
    free: int
    most: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Version:
    """Where a version of control groups keeps the memory of a group."""

    mounts: tuple[str, ...]
    limit: str
    usage: str
    files_prefix: str


_V1 = _Version(mounts=("memory",), limit="memory.limit_in_bytes", usage="memory.usage_in_bytes", files_prefix="total_")
_V2 = _Version(mounts=("", "unified"), limit="memory.max", usage="memory.current", files_prefix="")


def limits() -> list[Limit]:
    """Returns the memory of the machine, and every limit of a container or of this process that is set."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    free = _fields(_PROC / "meminfo").get("MemAvailable", total)
    return [_shared_limit("this machine", total=total, free=free), *_container_limits(), *_process_limits()]


def total_bytes() -> int:
    """Returns the memory of the machine, or the lowest limit of a container or of this process."""
    return min(limit.total for limit in limits())


def _shared_limit(place: str, *, total: int, free: int) -> Limit:
    """Returns the limit of memory that other processes take, too."""
    held = _fields(_PROC / "self" / "status").get("VmRSS", 0)
    return Limit(place=place, total=total, free=free, most=max(total - held, free))


def _container_limits() -> Iterator[Limit]:
    """Yields the limits of this process' control group and of all groups that it lies in."""
    for line in _lines(_PROC / "self" / "cgroup"):
        _, controllers, group = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        version = _V1 if controllers else _V2
        # A container may see its own group as the root, although the path names it as the machine does.
        path = pathlib.PurePosixPath(group.lstrip("/"))
        for mount in version.mounts:
            for folder in (path, *path.parents):
                yield from _group_limit(_CGROUPS / mount / folder, version)


def _group_limit(folder: pathlib.Path, version: _Version) -> Iterator[Limit]:
    limit, usage = (_number(folder / name) for name in (version.limit, version.usage))
    if limit is None or usage is None:
        return
    # The kernel drops cached files before it ends a process.
    files = _fields(folder / "memory.stat")
    cached = sum(files.get(f"{version.files_prefix}{kind}_file", 0) for kind in ("active", "inactive"))
    yield _shared_limit("this container", total=limit, free=max(limit - usage + cached, 0))


def _process_limits() -> Iterator[Limit]:
    """Yields the limits that `ulimit` sets."""
    status = _fields(_PROC / "self" / "status")
    for kind, used, flag in ((resource.RLIMIT_AS, "VmSize", "-v"), (resource.RLIMIT_DATA, "VmData", "-d")):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY and used in status:
            free = max(soft - status[used], 0)
            yield Limit(place=f"this process (ulimit {flag})", total=soft, free=free, most=free)


def _lines(file: pathlib.Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:  # Not this version of control groups, or not for this user to read.
        return []


def _number(file: pathlib.Path) -> int | None:
    """Returns the number in a file, or None without one. "max" is no limit, as is a number beyond any memory."""
    lines = _lines(file)
    if not lines or not lines[0].strip().isdigit():
        return None
    number = int(lines[0])
    return number if number < 2**60 else None


def _fields(file: pathlib.Path) -> dict[str, int]:
    """Returns the numbers of a file whose lines are `name: number kB` or `name number`, in bytes."""
    fields = {}
    for line in _lines(file):
        name, *values = line.replace(":", " ").split()
        if values and values[0].isdigit():
            fields[name] = int(values[0]) * (1024 if values[1:] == ["kB"] else 1)
    return fields


def text(count: float) -> str:
    """Returns a number of bytes for a message, e.g. `31 GiB`, `2.5 GiB` or `60 MiB`."""
    if count < 2**30:
        return f"{count / 2**20:.0f} MiB"
    gib = count / 2**30
    return f"{gib:.0f} GiB" if gib >= 10 else f"{gib:.1f} GiB"
