"""Renders result files as the Markdown that the pages show."""

import math
import textwrap

from components.text import plural
from pipeline.console.durations import duration

_FEATURES = {
    "waveform": "waveform encoder",
    "log_mel": "log-mel encoder",
    "both": "both, concatenated",
    "mfcc_mean_std": "MFCC mean and std",
}
_ARITHMETIC = ("MatMul", "Conv2D")


def scores(result: dict) -> str:
    """Renders the probe's scores of a run, and how long the run took and on what."""
    metric, values = result["evaluation"]["metric"], result["evaluation"]["scores"]
    rows = []
    for name in values:
        if name.startswith("untrained/"):  # e.g. untrained/both, which goes into the row of `both`
            continue
        score, untrained = score_text(values[name], metric), values.get(f"untrained/{name}")
        if untrained is None:  # A baseline, which nobody has trained here.
            rows.append([_FEATURES.get(name, name), "", score])
        else:
            rows.append([_FEATURES.get(name, name), score, score_text(untrained, metric)])
    header = [f"{result['evaluation']['probe']} probe, {metric}", "trained", "untrained"]
    return table(header, rows) + "\n" + _run(result)


def encoders(result: dict) -> str:
    """Renders the size and the speed of every encoder."""
    header = ["encoder", "parameters", "dim", "GFLOP", "forward, ms", "training, ms", "of peak", "plain layers"]
    rows = []
    for name, figures in result["encoders"].items():
        ours, plain = figures["diptych"], figures["plain"]
        rows.append(
            [
                name,
                f"{figures['parameters']:,}",
                str(figures["dim"]),
                f"{figures['gflop']:.1f}",
                f"{ours['forward_ms']:.0f}",
                f"{ours['training_ms']:.0f}",
                f"{100 * ours['training_share_of_peak']:.0f} %",
                f"{plain['training_ms'] / ours['training_ms']:.2f} x",
            ]
        )
    note = (
        f"Per crop of 3 s, in batches of {result['batch']}, on {where(result)} *Training* is the forward and the "
        "backward pass. *Of peak* compares its speed with that of one large float32 matrix product on the same cores. "
        "*Plain layers* is the training time of the same network built from Keras' own layers, divided by ours."
    )
    return table(header, rows) + "\n" + paragraph(note)


def train_step(result: dict) -> str:
    """Renders where the time of a training step goes."""
    arithmetic, others = 0.0, []
    for name, share in result["operations"].items():
        if any(kind in name for kind in _ARITHMETIC):  # oneDNN's operations are called e.g. _MklMatMul
            arithmetic += share
        else:
            others.append(f"{name} ({share:.0%})")
    parts = {name: seconds / result["whole_s"] for name, seconds in result["parts_s"].items()}
    return paragraph(
        f"A step of `{result['preset']}` with {result['batch_size']} clips takes "
        f"**{result['whole_to_encoders']:.2f} times** as long as the forward and backward pass of its two encoders "
        f"alone, and waits for input during {result['input_wait_share']:.2%} of it. Measured one by one, augmentation "
        f"and front ends take {parts['augmentation and front ends']:.1%} of a step, the loss {parts['loss']:.1%}, the "
        f"optimizer and the logged norms {parts['optimiser and norms']:.1%}. The encoders reach "
        f"{result['encoders_share_of_peak']:.0%} of the speed of one large float32 matrix product on the same cores. "
        f"Matrix products and convolutions take {arithmetic:.0%} of the time of all operations; the slowest others are "
        f"{', '.join(others[:3])}. Measured on {where(result)}"
    )


def train_memory(result: dict) -> str:
    """Renders the peak memory of a training step over the size of the batch."""
    sizes = result["batches"]
    header = [f"clips in a batch, embedded {result['micro_batch']} at a time", *(f"{int(size):,}" for size in sizes)]
    rows = [
        ["peak memory of the process, MiB", *(f"{row['peak_mib']:,}" for row in sizes.values())],
        ["all projections, MiB", *(f"{row['projections_mib']:,}" for row in sizes.values())],
    ]
    return table(header, rows) + "\n" + paragraph(f"Measured on {where(result)}")


def memory_estimate(result: dict) -> str:
    """Renders the memory that the Trainer expects to take, beside what it takes."""
    header = ["training", "of the process, MiB", "estimate / peak", "of the pool, MiB", "estimate / peak"]
    rows = [
        [
            name,
            f"{row['peak_mib']:,}",
            f"{row['estimate_to_peak']:.2f}",
            f"{row['pool_peak_mib']:,}",
            f"{row['pool_estimate_to_peak']:.2f}",
        ]
        for name, row in result["cases"].items()
    ]
    longest = max(row["cpu_s"] for row in result["cases"].values())
    note = (
        f"Peaks of {result['steps']} steps of `diptych train`. *Of the pool*: what TensorFlow's pool has handed out. "
        f"An estimate takes at most {longest} s of processor time. Measured on {where(result)}"
    )
    return table(header, rows) + "\n" + paragraph(note)


def embed_memory(result: dict) -> str:
    """Renders the peak memory of `diptych embed` and of a signature over the length of a recording."""
    presets = result["presets"]
    lengths = sorted({int(minutes) for peaks in presets.values() for minutes in peaks["embed"]})
    ways = {"embed": "`diptych embed`, all its processes", "call": "a call of `serving_default`"}
    header = ["MiB for one recording of minutes", *(f"{minutes:,}" for minutes in lengths)]
    rows = [
        [f"`{preset}`, {name}", *(_mib(peaks[way].get(str(minutes)), "peak_mib") for minutes in lengths)]
        for preset, peaks in presets.items()
        for way, name in ways.items()
    ]
    called = {minutes: call for peaks in presets.values() for minutes, call in peaks["call"].items()}
    rows.append(["of a call, the audio", *(_mib(called.get(str(minutes)), "audio_mib") for minutes in lengths)])
    note = f"Peaks with untrained models of the presets and {result['source']}, measured on {where(result)}"
    return table(header, rows) + "\n" + paragraph(note)


def embedding(result: dict) -> str:
    """Renders the speed of `diptych embed` next to that of its encoders alone, and its memory over the files."""
    ways = {"equal": "equal clips", "mixed": "mixed files", "file_by_file": "equal clips, file by file"}
    header = ["encoders of", "clips/s", "times real time", "share of the encoders' peak", "in processor time"]
    rows = [
        [
            f"`{preset}`, {name}",
            f"{speeds[way]['clips_per_s']:.3g}",
            f"{speeds[way]['real_time']:,.0f}",
            f"{100 * speeds[way]['share']:.0f} %",
            f"{100 * speeds[way]['processor_share']:.0f} %",
        ]
        for preset, speeds in result["presets"].items()
        for way, name in ways.items()
    ]
    peaks = (f"{row['peak_mib']:,} MiB for {int(files):,}" for files, row in result["memory"].items())
    note = (
        f"*Equal*: {result['equal']}. *Mixed*: {result['mixed']}. *Peak*: the encoders alone, full batches of windows "
        f"in a loop. Peak memory of all processes with a small model and files of 1 s: {', '.join(peaks)} files. "
        f"Measured on {where(result)}"
    )
    return table(header, rows) + "\n" + paragraph(note)


def search(result: dict) -> str:
    """Renders time and memory of `diptych search` over the number of vectors."""
    sizes = result["vectors"]
    header = ["vectors", *(f"{int(size):,}" for size in sizes)]
    rows = []
    for queries in next(iter(sizes.values()))["seconds"]:
        name = "1 query, s" if queries == "1" else f"{queries} queries, s"
        rows.append([name, *(f"{row['seconds'][queries]:.2f}" for row in sizes.values())])
    rows += [
        ["memory of its own, MiB", *(f"{row['own_mib']:,}" for row in sizes.values())],
        ["the mapped file, MiB", *(f"{row['index_mib']:,}" for row in sizes.values())],
        ["to write that file, once, s", *(f"{row['make_index_s']:.0f}" for row in sizes.values())],
    ]
    largest = max(row["largest_difference"] for row in sizes.values())
    note = (
        f"Vectors of {result['dim']:,} values, the nearest {result['k']}, on {where(result)} Other programs kept "
        f"{result['load']:.0f} processes waiting for these cores. A brute force in float64 finds the same; the cosines "
        f"differ by {largest:.0e} at most."
    )
    return table(header, rows) + "\n" + paragraph(note)


def embedding_stage(result: dict) -> str:
    """Renders the speed of the Embedder's job beside that of the encoders alone, and its memory over the clips."""
    header = ["model", "clips/s", "times real time", "of the encoders alone", "of their processor time"]
    rows = [
        [
            f"`{name}`",
            f"{row['clips_per_s']:,}",
            f"{row['real_time_factor']:,.0f}",
            f"{row['share_of_encoder']:.2f}",
            f"{row['cpu_share_of_encoder']:.2f}",
        ]
        for name, row in result["speed"].items()
    ]
    sizes = result["memory"]
    memory = table(
        ["clips", *(f"{int(clips):,}" for clips in sizes)],
        [["peak memory of the process, MiB", *(f"{row['peak_mib']:,}" for row in sizes.values())]],
    )
    note = (
        f"Speed with clips of {result['clips']}, embedded {result['batch']} sub-clips at a time; memory with "
        f"{result['memory_model']}. *Alone*: the same SavedModel, called with full batches in a loop. Both take turns; "
        f"a share above 1 is noise of the machine. Measured on "
        f"{where(result)}"
    )
    return table(header, rows) + "\n" + memory + "\n" + paragraph(note)


def _mib(row: dict | None, field: str) -> str:
    return f"{row[field]:,}" if row else "not measured"


def memory_pool(result: dict) -> str:
    """Renders the effect of TensorFlow's memory pool on training."""
    header = [
        "",
        "time without / with the pool",
        "page faults without",
        "page faults with",
        "peak memory with / without",
    ]
    rows = []
    for name, row in result["presets"].items():
        pool, without = row["with_pool"], row["without"]
        rows.append(
            [
                f"`{name}`, {result['steps']} steps",
                f"{row['time_without_to_with']:.2f} x",
                f"{without['page_faults']:,}",
                f"{pool['page_faults']:,}",
                f"{pool['peak_mib'] / without['peak_mib']:.2f} x",
            ]
        )
    return table(header, rows) + "\n" + paragraph(f"Measured on {where(result)}")


def validation_rank(result: dict) -> str:
    """Renders how well validation ranks models as the Evaluator does."""
    clips, rows = result["clips"], result["rows"]
    parts = []
    for name, words in (("probe", "the probe's score"), ("loss", "the negative loss")):
        low, high = result[name]["interval_95"]
        parts.append(
            f"**{result[name]['spearman']:.2f}** for {words} (95 % interval {low:.2f} to {high:.2f}), which chooses a "
            f"copy {result[name]['below_best']:.3f} mAP below the best"
        )
    header = ["after steps", *(f"{row['step']:,}" for row in rows)]
    lines = [
        [words, *(f"{row[name]:.{digits}f}" for row in rows)]
        for name, words, digits in (("probe", "probe", 3), ("loss", "loss", 2), ("evaluator", "Evaluator", 3))
    ]
    chance = 2 * math.log(2 * clips["valid"] - 1)
    said = paragraph(
        f"{result['corpus']}, with {clips['train']:,} clips to train, {clips['valid']:,} to validate and "
        f"{clips['eval']:,} to evaluate: {len(rows)} copies of a small model, of a training of {result['steps']:,} "
        f"steps. The loss is over all {clips['valid']:,} clips to validate, {chance:.1f} at chance. Spearman's rank "
        f"correlation with the Evaluator's mAP is {parts[0]}, and {parts[1]}. Measured on {where(result)}"
    )
    return table(header, lines) + "\n" + said


def table(header: list[str], rows: list[list[str]]) -> str:
    """Returns a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def paragraph(text: str) -> str:
    """Returns the text in lines of at most 120 characters."""
    return textwrap.fill(text, 120, break_on_hyphens=False) + "\n"


def score_text(score: float, metric: str) -> str:
    """Returns an accuracy in percent, and any other metric as a fraction."""
    return f"{100 * score:.1f} %" if metric == "accuracy" else f"{score:.3f}"


def _run(result: dict) -> str:
    stages = {row["stage"]: row for row in result["stages"]}
    trainer = stages["Trainer"]
    machine = result["machine"]
    return paragraph(
        f"`{_command(result['preset'])}` took {duration(result['seconds'])} on {machine['cores']} cores "
        f"({machine['cpu']}, {machine['memory_gib']} GiB) with Python {machine['python']} and TensorFlow "
        f"{machine['tensorflow']}, on {result['date']}. Training took {duration(trainer['seconds'])} of it "
        f"({trainer['summary']}). AudioExampleGen wrote {stages['AudioExampleGen']['summary']}."
    )


def _command(preset: str) -> str:
    if preset == "quickstart":
        return "diptych run --preset quickstart"
    return f"diptych run --preset {preset} --data ESC-50"


def where(result: dict) -> str:
    """Says on what machine and when a result was measured."""
    machine = result["machine"]
    cores = plural(machine["cores"], "core")
    return f"{cores} ({machine['cpu']}), TensorFlow {machine['tensorflow']}, {result['date']}."
