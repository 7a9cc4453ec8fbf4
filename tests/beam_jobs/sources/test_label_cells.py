import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs import sources
from beam_jobs.sources import label_cells
from beam_jobs.sources.csv_lists import RowError


@given(st.lists(st.text(st.characters(exclude_categories=["C"], exclude_characters='\n\r,;"'), min_size=1), max_size=5))
def test_labels_may_be_any_text(names):
    clean = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    assert list(label_cells.parse(f"{';'.join(names)};")) == clean


@given(
    names=st.lists(st.text(st.characters(exclude_categories=["C"])), max_size=5),
    to_cell=st.sampled_from([list, tuple, set, frozenset]),
)
def test_a_list_tuple_or_set_of_python_gives_its_items(names, to_cell):
    written = to_cell(names)
    if isinstance(written, frozenset):
        written = set(written)
    clean = {name.strip() for name in names} - {""}
    parsed = label_cells.parse(str(written))
    assert set(parsed) == clean
    assert len(parsed) == len(clean)
    if isinstance(written, list):
        assert parsed == tuple(dict.fromkeys(name.strip() for name in ast.literal_eval(str(written)) if name.strip()))


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("[]", ()),
        ("()", ()),
        ("{}", ()),
        ("set()", ()),
        ("[ ]", ()),
        ("('dog', 'cat')", ("dog", "cat")),
        ("('dog',)", ("dog",)),
        ("{'dog'}", ("dog",)),
        ("['a;b', 'c, d']", ("a;b", "c, d")),
        ("""['dog', "children's voices"]""", ("dog", "children's voices")),
        ("(unknown)", ("(unknown)",)),
        ("(unknown) bird", ("(unknown) bird",)),
        ("(a);(b)", ("(a)", "(b)")),
        ("dog (bark),cat (purr)", ("dog (bark)", "cat (purr)")),
        ("[laughter];", ("[laughter]",)),
        ("[a] b;c", ("[a] b", "c")),
    ],
)
def test_cells_with_brackets(cell, names):
    assert label_cells.parse(cell) == names


@pytest.mark.parametrize(
    "cell",
    [
        "['dog' 'cat']",
        "['dog' 'cat', 'bird']",
        "('dog' 'cat')",
        "('dog')",
        "(dog, cat)",
        "[dog, cat]",
        "[dog]",
        "[1, 2]",
        "['dog', 1]",
        "[b'dog']",
        "[f'dog']",
        "['dog', None]",
        "{'dog': 1}",
        "['dog', *['cat']]",
        "['dog'] + ['cat']",
        "[np.str_('dog')]",
        "['dog', 'cat]",
        "[" * 3000 + "]" * 3000,
    ],
)
def test_a_cell_in_brackets_that_is_no_list_of_strings_is_refused(cell):
    with pytest.raises(RowError, match=r"is not a list such as \['dog', 'cat'\]; write the labels with ; between them"):
        label_cells.parse(cell)


@pytest.mark.parametrize("cell", [r"['a\nb', 'c']", "a\rb", "c;a\r\nb"])
def test_a_line_break_in_a_name_is_refused(cell):
    with pytest.raises(RowError, match="has a line break in the name of a class; remove it"):
        label_cells.parse(cell)


def test_what_pandas_and_numpy_write_invents_no_class(tmp_path):
    cells = ["['dog' 'cat']", "[]", "('dog', 'cat')", "['a;b']"]
    rows = "".join(f'{index}.wav,"{cell}"\n' for index, cell in enumerate(cells))
    (tmp_path / "clips.csv").write_text(f"path,labels\n{rows}")
    listing = sources.list_clips(tmp_path / "clips.csv")
    assert listing.label_names == ("a;b", "cat", "dog")
    assert [(clip.path, clip.labels) for clip in listing.clips] == [
        ("1.wav", ()),
        ("2.wav", ("dog", "cat")),
        ("3.wav", ("a;b",)),
    ]
    (row,) = listing.quarantined
    assert row.cause == "malformed row"
    assert row.message.startswith(f"{tmp_path}/clips.csv:2: ['dog' 'cat'] is not a list")
