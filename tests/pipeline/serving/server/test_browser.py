"""The page in a real browser."""

import pytest

from tests import corpora
from tests.pipeline.serving.server import chromium
from tests.pipeline.serving.server.running import running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no chromium on the path"),
]

SHOWN = "!document.getElementById('result').hidden && document.getElementById('status').textContent == ''"
COLOURS = """(() => {{
  const canvas = document.getElementById("{}");
  const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return new Set(pixels).size;
}})()"""


@pytest.fixture(scope="module")
def indexed(versions, index):
    with running(versions, index=index) as server:
        yield server


@pytest.fixture
def page(indexed):
    """The page, which must not complain, nor ask for anything from elsewhere."""
    with chromium.opened(indexed.url + "/") as page:
        yield page
        assert not page.complaints
        own = (indexed.url, f"blob:{indexed.url}", "data:")
        assert [url for url in page.requested if not url.startswith(own)] == []


def text(page, selector):
    return page.evaluate(f"document.querySelector({selector!r}).innerText")


def check(page, *, name, seconds):
    """Checks all that the page shows of a sound."""
    page.wait(SHOWN)
    assert text(page, "#title").startswith(name)
    page.wait("document.getElementById('player').readyState >= 1")
    assert page.evaluate("document.getElementById('player').duration") == pytest.approx(seconds, abs=0.1)
    assert page.evaluate(COLOURS.format("waveform")) >= 2
    assert page.evaluate(COLOURS.format("picture")) > 20
    assert page.evaluate(COLOURS.format("strip")) >= 5
    assert text(page, "#parts") == "embedding, 5 values: first 3, second 2"


def test_a_chosen_file_is_shown_with_its_neighbors_and_their_players(page, index, tmp_path):
    model = "diptych, version 7: 5 values from first and second at 16000 Hz, the mean over windows of 0.25 s"
    assert text(page, "#model") == model
    page.choose("#file", index.parent / "sounds" / "low.wav")
    check(page, name="low.wav, 1.0 s", seconds=1.0)
    assert page.evaluate("document.querySelectorAll('#list li').length") == 3
    assert text(page, "#list li .name").split("\n") == ["low.wav", f"0.0 to 1.0 s, {index.parent}/sounds/"]
    assert text(page, "#list li .cosine") == "1.000"
    page.evaluate("document.querySelector('#list audio').play()")
    page.wait("document.querySelector('#list audio').currentTime > 0.1")
    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 20_000


@pytest.mark.parametrize("suffix", ["flac", "m4a"])
def test_a_dropped_file_is_shown(page, tmp_path, suffix):
    corpora.write_format(tmp_path / f"tone.{suffix}", seconds=0.7)
    page.drop((tmp_path / f"tone.{suffix}").read_bytes(), name=f"<b>tone</b>.{suffix}")
    check(page, name=f"<b>tone</b>.{suffix}, 0.", seconds=0.7)


def test_the_generated_sound_and_a_recording_are_shown(page):
    page.evaluate("document.getElementById('example').click()")
    check(page, name="generated sound, 3.0 s", seconds=3.0)
    page.evaluate("document.getElementById('record').click()")
    page.wait("document.getElementById('record').textContent == 'stop'")
    page.wait("new Promise((resolve) => setTimeout(() => resolve(true), 1500))")
    page.evaluate("document.getElementById('record').click()")
    page.wait("document.getElementById('title').textContent.startsWith('recording, ')")
    assert page.evaluate("document.getElementById('player').src").startswith("blob:")


def test_an_error_is_shown_and_the_last_sound_stays(page):
    page.evaluate("document.getElementById('example').click()")
    page.wait(SHOWN)
    page.drop(b"no sound", name="notes.txt")
    page.wait("document.getElementById('status').classList.contains('error')")
    assert "cannot be decoded: unreadable" in text(page, "#status")
    assert text(page, "#title").startswith("generated sound")
    page.complaints.clear()  # The browser itself logs the status 422.
