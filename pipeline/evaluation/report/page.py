"""Writes the page."""

import base64
import html
import string
from collections.abc import Iterable, Sequence

from pipeline.evaluation.report import figures
from pipeline.evaluation.report.content import Content

_PAGE = string.Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; color: #1c2430; }
h1 { font-size: 1.5em; margin-bottom: 0.2em; }
h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #d5dbe3; }
.verdict { font-size: 1.15em; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { text-align: left; padding: 0.2em 1em 0.2em 0; border-bottom: 1px solid #e6eaf0; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.model { font-weight: 600; }
.path { overflow-wrap: anywhere; }
.long { max-height: 32em; overflow-y: auto; }
audio { height: 2em; width: 16em; }
svg { max-width: 100%; height: auto; }
code { background: #f0f3f7; padding: 0.1em 0.3em; overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1>$title</h1>
<p class="verdict">$verdict</p>
$body
</body>
</html>
""")


def render(content: Content) -> str:
    """Returns the page as HTML. It holds its plots and sounds, and loads nothing."""
    parts = [_facts(content), *(f"<p>{_text(note)}</p>" for note in content.notes)]
    if content.scores:
        parts += ["<h2>Scores</h2>", figures.scores(content.scores, metric=content.metric), _scores(content)]
    if content.robustness is not None:
        parts += ["<h2>Robustness</h2>", _robustness_text(content), figures.robustness(content.robustness)]
    if content.clips:
        parts += ["<h2>Clips to hear</h2>", _clips(content)]
    if content.classes:
        parts += ["<h2>Classes</h2>", _classes(content)]
    if content.confusion is not None:
        parts += ["<h2>Confusion</h2>", figures.confusion(content.confusion, content.confusion_names)]
    parts += ["<h2>More</h2>", f"<p>TensorBoard: <code>{_text(content.tensorboard)}</code></p>"]
    return _PAGE.substitute(
        title=_text(f"{content.model} on {content.data}"), verdict=_text(content.verdict), body="\n".join(parts)
    )


def _facts(content: Content) -> str:
    rows = (
        f"<tr><th>{_text(name)}</th><td class=path>{_text(value)}</td></tr>" for name, value in content.facts.items()
    )
    return f"<table>{''.join(rows)}</table>"


def _scores(content: Content) -> str:
    has_intervals = any(row.low is not None for row in content.scores)
    header = ["embedding", content.metric, *(["95 % interval"] if has_intervals else []), *content.other_metrics]
    rows = []
    for row in content.scores:
        interval = "" if row.low is None or row.high is None else f"{row.low:.3f} to {row.high:.3f}"
        cells = [row.name, _number(row.score), *([interval] if has_intervals else []), *map(_number, row.others)]
        rows.append((cells, row.is_model))
    return _table(header, rows, numbers=range(1, len(header)))


def _classes(content: Content) -> str:
    header = ["class", "test clips", "recall" if content.metric == "accuracy" else "average precision", "taken for"]
    rows = [([row.name, f"{row.clips:,}", _number(row.score), row.confused_with], False) for row in content.classes]
    return f'<div class="long">{_table(header, rows, numbers=(1, 2))}</div>'


def _clips(content: Content) -> str:
    rows = []
    for clip in content.clips:
        sound = base64.b64encode(clip.mp3).decode()
        cells = [
            f'<audio controls preload="none" src="data:audio/mpeg;base64,{sound}"></audio>',
            *map(_text, (clip.truth, clip.predicted)),
            f'<span class="path">{_text(clip.clip_id)}</span>',
        ]
        rows.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("", "class", "the probe says", "clip"))
    text = "<p>Test clips that the probe gets wrong: those to whose class it gives the lowest probability.</p>"
    return f"{text}<table><tr>{head}</tr>{''.join(rows)}</table>"


def _robustness_text(content: Content) -> str:
    curves = content.robustness
    score = ""
    if curves.clean_score is not None:
        score = (
            f" The score is the {curves.metric} of a linear classifier that was trained on other, clean clips; the "
            f"dotted line is that of the same clips without a perturbation, {curves.clean_score:.3f}."
        )
    return (
        f"<p>{curves.clips:,} clips were changed. The cosine compares the embedding of a changed clip with that of the "
        f"clean one: the mean, and down to what a tenth of the clips does not reach.{_text(score)}</p>"
    )


def _table(header: Sequence[str], rows: Iterable[tuple[Sequence[str], bool]], *, numbers: Iterable[int]) -> str:
    kinds = ["number" if index in set(numbers) else "text" for index in range(len(header))]
    head = "".join(f'<th class="{kind}">{_text(cell)}</th>' for kind, cell in zip(kinds, header, strict=True))
    lines = [f"<tr>{head}</tr>"]
    for cells, is_model in rows:
        line = "".join(f'<td class="{kind}">{_text(cell)}</td>' for kind, cell in zip(kinds, cells, strict=True))
        lines.append(f'<tr class="{"model" if is_model else "other"}">{line}</tr>')
    return f"<table>{''.join(lines)}</table>"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _text(text: str) -> str:
    return html.escape(text.encode(errors="replace").decode())
