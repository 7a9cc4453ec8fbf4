"""Renders the result of `input_order` as Markdown."""

from tests.benchmarks import tables


def render(result: dict) -> str:
    """Renders how well both ways mix clips, and their speeds."""
    (files, files_at_a_time), (speed, speed_at_a_time) = (
        result[figure].values() for figure in ("files_in_a_batch", "clips_per_s")
    )
    machine = result["machine"]
    return tables.paragraph(
        f"Measured: a batch of {result['batch_size']:,} clips comes from **{files:,.0f} of {result['files']:,} files** "
        f"of {result['clips_per_file']} short clips each, in the median over a pass. Reading eight files at a time "
        f"through a shuffle buffer of 2,048 clips gives {files_at_a_time:,.0f} files, and "
        f"{speed_at_a_time / speed:.2f} of the speed with clips of 10 s; the two were measured in turn on "
        f"{machine['cores']} cores ({machine['cpu']}), {result['date']}."
    )
