import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from components import csv_rows

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6) | st.sampled_from(
    ["\r", "a\r\nb", '"', ",", "\n"]
)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=4)))
def test_readers_find_the_cells(rows):
    """A row of one empty cell would be an empty line."""
    assert list(csv.reader(io.StringIO(csv_rows.to_text(rows), newline=""))) == rows


def test_what_needs_no_quotes_has_none():
    assert csv_rows.to_text([("file", "start_s"), ("a.wav", None), ("b\r.wav", 0.5)]) == (
        'file,start_s\na.wav,\n"b\r.wav","0.5"\n'
    )
