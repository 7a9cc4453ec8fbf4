"""Renders the load on `diptych serve` as the Markdown that its page shows."""

from tests.benchmarks import tables

_WAYS = {
    "binary": "32 clients, KServe v2 with binary tensors",
    "wav": "32 clients, a WAV file in TensorFlow Serving's JSON",
    "json": "32 clients, numbers in TensorFlow Serving's JSON",
    "one_client": "1 client, KServe v2 with binary tensors",
}


def render(result: dict) -> str:
    """Renders speed, overload, attack and end."""
    header = ["encoders of, and load", "windows/s", "share of the peak", "in processor time", "p50, ms", "p99, ms"]
    rows = [
        [
            f"`{preset}`, {words}",
            f"{measured[way]['per_s']:.3g}",
            f"{100 * measured[way]['share']:.0f} %",
            f"{100 * measured[way]['processor_share']:.0f} %",
            f"{measured[way]['p50_ms']:,.0f}",
            f"{measured[way]['p99_ms']:,.0f}",
        ]
        for preset, measured in result["presets"].items()
        for way, words in _WAYS.items()
        if way in measured
    ]
    where = result["machine"]
    clients = max(measured["binary"]["clients_share"] for measured in result["presets"].values())
    note = (
        "*Peak*: the model alone, full batches of windows in a loop. The clients run on the same cores and take up to "
        f"{100 * clients:.0f} % of the processor time of the first load. Measured on {where['cores']} cores "
        f"({where['cpu']}), TensorFlow {where['tensorflow']}, {result['date']}. Each load lasts "
        f"{result['seconds']:g} s. Good ones are those of 4 clients that behave; the attackers send some sound, too, "
        f"which is embedded like theirs. The machine's load average was {result['load']:g} before; the share in "
        "processor time hardly feels other programs."
    )
    under = ["encoders of", "ten times too many requests", "memory before, peak", "under attack: good ones", "SIGTERM"]
    lines = [
        [
            f"`{preset}`",
            _of_load(measured["overload"]),
            f"{measured['overload']['memory_before_mib']:,}, {measured['overload']['memory_peak_mib']:,} MiB",
            _of_load(measured["attack"]["good"]),
            f"{_statuses(measured['drain']['statuses'])}, {measured['drain']['seconds']:g} s",
        ]
        for preset, measured in result["presets"].items()
    ]
    return tables.table(header, rows) + "\n" + tables.table(under, lines) + "\n" + tables.paragraph(note)


def _of_load(figures: dict) -> str:
    """Returns the answers of a load, and of the good ones how many there were in a second and how long most took."""
    return f"{_statuses(figures['statuses'])}: {figures['per_s']:g}/s, p99 {figures['p99_ms'] / 1000:.1f} s"


def _statuses(counts: dict[str, int]) -> str:
    """Returns how many answers have each status."""
    return ", ".join(f"{count:,} x {status}" for status, count in counts.items())
