"""Markdown as TensorBoard's text tab shows it."""

import re
from collections.abc import Sequence

_SPECIAL = re.compile(r"([\\`*_{}\[\]#])")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Returns a table. Its cells may hold Markdown, except for bars, which are shown as they are."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def escaped(text: str) -> str:
    """Returns Markdown that shows a text as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;")


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
