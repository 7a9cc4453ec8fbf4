"""Parses the cells of a manifest's column `labels`."""

import ast
import functools
import io
import re
import tokenize

from beam_jobs.sources.clips import has_line_break
from beam_jobs.sources.csv_lists import RowError

_NO_LABEL = frozenset({"", "nan", "NaN", "<NA>", "set()"})
"""What pandas writes where there is no label; not "None", because a class may be called so."""

_LIST = re.compile(r"""\[.*\]|\{.*\}|\(\s*(['"].*)?\)|\([^()]*[,;][^()]*\)""", re.DOTALL)
"""A cell in brackets. Round ones around a single name, as in `(unknown)`, belong to the name."""


@functools.lru_cache(maxsize=2**16)
def parse(cell: str) -> tuple[str, ...]:
    """Returns the names in a cell, each once.

    Names are separated by `;`, or in a cell without it by `,`. A cell in brackets is a list, tuple or set of Python's,
    as pandas writes it: `['dog', 'cat']`. It is parsed as a whole, so that its names may hold `;` and `,`. A single
    name in brackets ends with `;`.

    Args:
        cell: The cell, without the spaces around it.

    Raises:
        RowError: The cell is in brackets and is no list of strings, or there is a line break in a name.
    """
    if cell in _NO_LABEL:
        return ()
    names = _items(cell) if _LIST.fullmatch(cell) else cell.split(";" if ";" in cell else ",")
    labels = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    if any(map(has_line_break, labels)):
        raise RowError(f"{cell!r} has a line break in the name of a class; remove it")
    return labels


def _items(cell: str) -> list[str]:
    """Returns the strings of a list, tuple or set; none of `{}`."""
    try:
        tree = ast.parse(cell, mode="eval").body
        tokens = list(tokenize.generate_tokens(io.StringIO(cell).readline))
    except (SyntaxError, ValueError, MemoryError, RecursionError, tokenize.TokenError):
        raise _not_a_list(cell) from None
    if isinstance(tree, ast.Dict) and not tree.keys:
        return []
    if not isinstance(tree, ast.List | ast.Tuple | ast.Set):
        raise _not_a_list(cell)
    values = [element.value for element in tree.elts if isinstance(element, ast.Constant)]
    # NumPy prints arrays without commas, and Python reads 'dog' 'cat' as the one string 'dogcat'.
    strings = sum(token.type == tokenize.STRING for token in tokens)
    if not (len(tree.elts) == len(values) == strings and all(isinstance(value, str) for value in values)):
        raise _not_a_list(cell)
    return values


def _not_a_list(cell: str) -> RowError:
    return RowError(
        f"{cell} is not a list such as ['dog', 'cat']; write the labels with ; between them, and with ; after a single "
        "name in brackets"
    )
