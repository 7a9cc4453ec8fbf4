"""Puts the figures of `results/*.json` into the README, between its markers: `python -m tests.benchmarks.readme`."""

import json
import pathlib
import re

from matplotlib.figure import Figure

from pipeline.progress import duration
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
    """What a training step takes beside its encoders, as a sentence or two."""
    whole, machine, operations = result["whole_s"], result["machine"], result["operations"]
    arithmetic = sum(share for name, share in operations.items() if name.startswith(("MatMul", "Conv2D")))
    others = [(name, share) for name, share in operations.items() if not name.startswith(("MatMul", "Conv2D"))][:3]
    parts = ", ".join(f"{name} {100 * seconds / whole:.1f} %" for name, seconds in result["parts_s"].items())
    return (
        f"A step of `{result['preset']}` with {result['batch_size']} clips takes "
        f"**{result['whole_to_encoders']:.2f} times** as long as the forward and backward pass of its two encoders by "
        f"themselves, and {100 * result['input_wait_share']:.2f} % of it waiting for input; by themselves, too: {parts}. "
        f"The encoders reach {100 * result['encoders_share_of_peak']:.0f} % of what one large float32 matrix product "
        f"does on the same cores. Matrix products and convolutions are {100 * arithmetic:.0f} % of the time of all "
        f"operations; of the others the slowest are {', '.join(f'{name} ({100 * share:.0f} %)' for name, share in others)}"
        f". {machine['cores']} cores ({machine['cpu']}), TensorFlow {machine['tensorflow']}, {result['date']}.\n"
    )


def render_train_memory(result: dict) -> str:
    """Peak memory over the size of the batch as Markdown."""
    sizes = result["batches"]
    return "\n".join(
        [
            "| batch, in parts of " + f"{result['micro_batch']} | " + " | ".join(f"{int(size):,}" for size in sizes) + " |",
            "|---" * (1 + len(sizes)) + "|",
            "| peak memory of the process, MiB | "
            + " | ".join(f"{row['peak_mib']:,}" for row in sizes.values())
            + " |",
            "| of it all projections and their gradients | "
            + " | ".join(f"{row['projections_mib']:,}" for row in sizes.values())
            + " |\n",
        ]
    )


def render_memory_pool(result: dict) -> str:
    """What the pool of memory does, as a sentence."""
    presets = result["presets"].items()
    machine = result["machine"]
    times = " and ".join(f"{row['time_without_to_with']:.2f} times as long (`{name}`)" for name, row in presets)
    peaks = " and ".join(f"{row['with_pool']['peak_mib'] / row['without']['peak_mib']:.2f}" for _, row in presets)
    faults = " and ".join(f"{row['without']['page_faults'] / 1e6:.1f}" for _, row in presets)
    return (
        f"Without the pool, {result['steps']} steps take {times}, with {faults} million page faults; with it, the peak "
        f"of memory is {peaks} times as high. {machine['cores']} cores ({machine['cpu']}), TensorFlow "
        f"{machine['tensorflow']}, {result['date']}.\n"
    )


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
