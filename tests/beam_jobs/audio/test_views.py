import io

from beam_jobs.audio.views import View


def test_a_view_is_a_part_of_a_file_with_another_head():
    view = View(io.BytesIO(bytes(range(100))), start=10, stop=20, head=b"head")
    expected = b"head" + bytes(range(10, 20))
    assert view.readall() == expected
    for offset in range(20):
        view.seek(offset)
        content = bytearray()
        while len(content) < 3 and (block := view.read(3 - len(content))):
            content += block
        assert content == expected[offset : offset + 3]
    assert View(view, start=2, stop=6).readall() == b"ad\x0a\x0b"
    assert View(view, start=99).readall() == b""
    assert view.seek(-1, 2) == 13
