"""Renders the result of `tests.benchmarks.audioset` as Markdown."""

from collections.abc import Callable, Mapping

from tests.benchmarks import tables
from tests.benchmarks.audioset import rows


def render(result: dict) -> str:
    """Renders time and memory, then calls and bytes, of each part and number of clips."""
    parts = {name: result["parts"][name] for name in rows.PARTS if name in result["parts"]}
    loads = [row["load"] for of_part in parts.values() for row in of_part.values()]
    sizes = [f"{size:,}" for size in rows.SIZES]
    note = (
        f"Measured on {tables.where(result)} Another program trained a model meanwhile, and {min(loads):.0f} to "
        f"{max(loads):.0f} processes wanted the cores: seconds are those of a core, and on the clock it took longer. "
        "Memory is what the part adds to what its process had before: 700 MiB with TensorFlow and Beam, and more where "
        "it had read the list of the clips. ≈: not measured, but on the line "
        f"through smaller numbers of clips, of which the largest is {_largest(parts)}, depending on the part."
    )
    of_calls = (
        "Calls to a bucket are requests. On this machine they are the files that were opened, linked, renamed and "
        "removed, and the folders that were listed, as Python tells; looking at a file's size (`stat`) and what "
        "TensorFlow's C++ opens is not among them. Bytes are those in both directions."
    )
    return (
        tables.table(
            ["clips", *(f"{size}: s" for size in sizes), *(f"{size}: MiB" for size in sizes)],
            [_line(name, of_part, (rows.cpu_s, _seconds), (rows.grown_mib, _mib)) for name, of_part in parts.items()],
        )
        + "\n"
        + tables.paragraph(note)
        + "\n"
        + tables.table(
            ["clips", *(f"{size}: calls" for size in sizes), *(f"{size}: bytes" for size in sizes)],
            [_line(name, of_part, (rows.calls, _count), (rows.transferred, _bytes)) for name, of_part in parts.items()],
        )
        + "\n"
        + tables.paragraph(of_calls)
    )


def _largest(parts: Mapping[str, Mapping]) -> str:
    """Returns the largest numbers of clips of the parts that were not measured with all of them."""
    largest = {max(map(int, of_part)) for of_part in parts.values()} - {rows.SIZES[-1]}
    *others, last = (f"{size:,}" for size in sorted(largest))
    return f"{', '.join(others)} or {last}" if others else last


def _line(
    name: str, of_part: Mapping[str, Mapping], *columns: tuple[Callable[[Mapping], float], Callable[[float], str]]
) -> list[str]:
    cells = [rows.PARTS[name]]
    for of, text in columns:
        for size in rows.SIZES:
            value, is_measured = rows.figure(name, of_part, size, of)
            cells.append(text(value) if is_measured else f"≈ {text(value)}")
    return cells


def _seconds(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _mib(value: float) -> str:
    return f"{max(0.0, value):,.0f}"


def _count(value: float) -> str:
    return f"{round(value):,}"


def _bytes(value: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if value >= size:
            return f"{value / size:,.3g} {unit}"
    return f"{value / 1e3:,.0f} kB"
