"""Puts the figures of `results/*.json` into the README, between its markers: `python -m tests.benchmarks.readme`."""

import json
import pathlib
import re
import textwrap

from matplotlib.figure import Figure

from pipeline.console.progress import duration
from tests.benchmarks.record import RESULTS

README = pathlib.Path(__file__).parents[2] / "README.md"
MARKED = re.compile(r"(<!-- results:(\w+) -->\n).*?(<!-- /results -->)", re.DOTALL)
NAMES = {"waveform": "waveform encoder", "log_mel": "log-mel encoder", "both": "both, concatenated"}
INK, TRAINED, UNTRAINED, BASELINE = "#333333", "#2a6f97", "#a9d6e5", "#bbbbbb"


def fill(text: str) -> str:
    """The README with each marked block rendered anew."""
    renderers = {
        "encoders": render_encoders,
        "train_step": render_train_step,
        "train_memory": render_train_memory,
        "memory_pool": render_memory_pool,
    }
    return MARKED.sub(lambda match: match[1] + renderers.get(match[2], render)(load(match[2])) + match[3], text)


def load(name: str) -> dict:
    """A result file by its name."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def render(result: dict) -> str:
    """A result as Markdown: where and how long, and the score table."""
    scores, metric = result["evaluation"]["scores"], result["evaluation"]["metric"]
    machine = result["machine"]
    summaries = {row["stage"]: row["summary"] for row in result["stages"]}
    lines = [
        f"`{command(result)}` on {machine['cores']} cores ({machine['cpu']}, {machine['memory_gib']} GiB), "
        f"Python {machine['python']}, TensorFlow {machine['tensorflow']}, {result['date']}: "
        f"{duration(result['seconds'])} in all, {duration(seconds(result, 'Trainer'))} of it training "
        f"({summaries['Trainer']}). Ingest: {summaries['AudioExampleGen']}.",
        "",
        f"| {result['evaluation']['probe']} probe, {metric} | trained | untrained |",
        "|---|---|---|",
    ]
    for name in (*NAMES, *(key for key in scores if key not in NAMES and "/" not in key)):
        if name == "mfcc_mean_std":
            lines.append(f"| MFCC mean and std | | {shown(scores[name], metric)} |")
        elif name in scores:
            row = (shown(scores[name], metric), shown(scores[f"untrained/{name}"], metric))
            lines.append(f"| {NAMES.get(name, name)} | {row[0]} | {row[1]} |")
    return "\n".join(lines) + "\n"


def render_encoders(result: dict) -> str:
    """Size and speed of every encoder as Markdown."""
    machine = result["machine"]
    lines = [
        "| encoder | parameters | dim | GFLOP | forward, ms | training, ms | of peak | plain layers |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in result["encoders"].items():
        ours, plain = row["diptych"], row["plain"]
        lines.append(
            f"| {name} | {row['parameters']:,} | {row['dim']} | {row['gflop']:.1f} | {ours['forward_ms']:.0f} | "
            f"{ours['training_ms']:.0f} | {100 * ours['training_share_of_peak']:.0f} % | "
            f"{plain['training_ms'] / ours['training_ms']:.2f} x |"
        )
    lines += [
        "",
        f"Per crop of 3 s, {result['batch']} at a time, on {machine['cores']} cores ({machine['cpu']}), TensorFlow "
        f"{machine['tensorflow']}, {result['date']}. *Training* is the forward and backward pass; *of peak* is its "
        "share of what one large float32 matrix product reaches on the same cores in between; *plain layers* is the "
        "training time of the same network of Keras' own layers, against ours.",
    ]
    return "\n".join(lines) + "\n"


def render_train_step(result: dict) -> str:
    """What a training step takes beside its encoders."""
    arithmetic = ("MatMul", "Conv2D")
    operations = result["operations"].items()
    computed = sum(share for name, share in operations if name.startswith(arithmetic))
    others = [f"{name} ({share:.0%})" for name, share in operations if not name.startswith(arithmetic)]
    parts = ", ".join(f"{name} {seconds / result['whole_s']:.1%}" for name, seconds in result["parts_s"].items())
    text = (
        f"A step of `{result['preset']}` with {result['batch_size']} clips takes **{result['whole_to_encoders']:.2f} "
        f"times** as long as the forward and backward pass of its two encoders alone, and waits "
        f"{result['input_wait_share']:.2%} of that for input; taken by themselves: {parts}. The encoders reach "
        f"{result['encoders_share_of_peak']:.0%} of what one large float32 matrix product does on the same cores. "
        f"Matrix products and convolutions are {computed:.0%} of the time of all operations; the slowest others are "
        f"{', '.join(others[:3])}. {_where(result)}"
    )
    return textwrap.fill(text, 120, break_on_hyphens=False) + "\n"


def render_train_memory(result: dict) -> str:
    """Peak memory over the size of the batch as a Markdown table."""
    sizes = result["batches"]
    rows = [
        [f"clips of a batch, embedded {result['micro_batch']} at a time", *(f"{int(size):,}" for size in sizes)],
        ["---"] * (1 + len(sizes)),
        ["peak memory of the process, MiB", *(f"{row['peak_mib']:,}" for row in sizes.values())],
        ["all projections, MiB", *(f"{row['projections_mib']:,}" for row in sizes.values())],
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\n{_where(result)}\n"


def render_memory_pool(result: dict) -> str:
    """What the pool of memory does, as a Markdown table."""
    rows = [["", "time without it", "page faults without it", "with it", "peak memory with it"], ["---"] * 5]
    for name, row in result["presets"].items():
        with_pool, without = row["with_pool"], row["without"]
        memory = with_pool["peak_mib"] / without["peak_mib"]
        faults = (f"{without['page_faults']:,}", f"{with_pool['page_faults']:,}")
        rows.append(
            [f"`{name}`, {result['steps']} steps", f"{row['time_without_to_with']:.2f} x", *faults, f"{memory:.2f} x"]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\n{_where(result)}\n"


def _where(result: dict) -> str:
    machine = result["machine"]
    return f"{machine['cores']} cores ({machine['cpu']}), TensorFlow {machine['tensorflow']}, {result['date']}."


def command(result: dict) -> str:
    """What was typed."""
    data = "" if result["preset"] == "quickstart" else " --data ESC-50"
    return f"diptych run --preset {result['preset']}{data}"


def seconds(result: dict, stage: str) -> float:
    """How long a stage took."""
    return next(row["seconds"] for row in result["stages"] if row["stage"] == stage)


def shown(score: float, metric: str) -> str:
    """Accuracy in percent, mAP as it is."""
    return f"{100 * score:.1f} %" if metric == "accuracy" else f"{score:.3f}"


def plot(results: list[dict]) -> Figure:
    """Bars of all scores, a panel per result."""
    figure = Figure(figsize=(9, 3.2), dpi=150, layout="constrained")
    panels = figure.subplots(1, len(results), squeeze=False)[0]
    titles = {"tiny": "ESC-50, 50 classes", "quickstart": "generated corpus, 16 classes"}
    for axes, result in zip(panels, results, strict=True):
        scores, metric = result["evaluation"]["scores"], result["evaluation"]["metric"]
        bars = [("MFCC\nmean+std", scores["mfcc_mean_std"], BASELINE)]
        for name, label in (("waveform", "waveform"), ("log_mel", "log-mel"), ("both", "both")):
            bars += [(f"{label}\nuntrained", scores[f"untrained/{name}"], UNTRAINED), (label, scores[name], TRAINED)]
        drawn = axes.bar([bar[0] for bar in bars], [bar[1] for bar in bars], color=[bar[2] for bar in bars])
        axes.bar_label(drawn, labels=[shown(bar[1], metric) for bar in bars], fontsize=7, color=INK)
        axes.set_title(f"{titles[result['preset']]}: {metric} of a probe", fontsize=9, color=INK)
        axes.set_ylim(0, 1.05)
        axes.tick_params(labelsize=6.5, colors=INK)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    """The command."""
    README.write_text(fill(README.read_text()))
    results = [load(name) for name in ("tiny", "quickstart") if (RESULTS / f"{name}.json").exists()]
    plot(results).savefig(RESULTS / "scores.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
