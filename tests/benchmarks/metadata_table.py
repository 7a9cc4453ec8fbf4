"""Renders the result of `tests.benchmarks.metadata`."""

from tests.benchmarks import tables


def render(result: dict) -> str:
    """Renders what a stage and the commands take in roots with many runs."""
    roots = result["roots"]
    commands = next(iter(roots.values()))["command_s"]
    rows = [["a stage, s", *(f"{row['stage_s']:.3f}" for row in roots.values())]]
    rows += [
        [f"`diptych {name}`, s", *(f"{row['command_s'][name]:.1f}" for row in roots.values())] for name in commands
    ]
    rows.append(["`metadata.sqlite`, MB", *(f"{row['megabytes']:,.0f}" for row in roots.values())])
    note = (
        f"Eight stages a run, on {tables.where(result)} Other programs kept {result['load']:.0f} processes waiting for "
        "these cores. The time of a command is that of its whole process."
    )
    return tables.table([f"{result['runs']:,} runs, of which", *roots], rows) + "\n" + tables.paragraph(note)
