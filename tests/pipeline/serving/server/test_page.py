"""What the page asks for, without a browser; `test_browser.py` has one."""

import base64
import concurrent.futures
import io
import os
import pathlib
import re
import shutil
import threading

import numpy as np
import pyarrow.parquet as pq
import pytest
import requests
import soundfile

from beam_jobs import audio
from beam_jobs.audio import readers
from beam_jobs.audio.log_mel import log_mel
from components.errors import UserError
from pipeline import cli
from pipeline.serving.embedding import outputs
from pipeline.serving.server import page, run, sounds
from tests import corpora
from tests.pipeline.serving.server import tiny_model
from tests.pipeline.serving.server.running import ask, error_of, running
from tests.processes import wait_until


@pytest.fixture(scope="module")
def indexed(versions, index):
    """A server with an index."""
    with running(versions, index=index, seconds=20.0) as server:
        yield server


def embed(server, content):
    return requests.post(server.url + "/page/embed", data=content, timeout=60)


def test_the_page_needs_nothing_from_elsewhere(server):
    answer = ask(server, "/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    texts = {name: ask(server, f"/page/static/{name}").text for name in page._FILES}
    assert answer.text == texts["index.html"]
    for name, text in texts.items():
        assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text), name
    referred = set(re.findall(r'(?:src|href)="(/[^"]*)"', answer.text))
    assert referred == {"/page/static/page.css", "/page/static/page.js"}
    for path in referred:
        assert ask(server, path).status_code == 200


def test_the_page_says_what_the_model_is(server):
    info = ask(server, "/page/info").json()
    assert {name: info[name] for name in ("dim", "formats", "sample_rate", "window_seconds")} == {
        "dim": 5,
        "formats": ["first", "second"],
        "sample_rate": tiny_model.RATE,
        "window_seconds": tiny_model.WINDOW / tiny_model.RATE,
    }
    shown = set(re.findall(r"\binfo\.(\w+)", ask(server, "/page/static/page.js").text))
    assert "window_seconds" in shown
    assert shown <= set(info)


@pytest.mark.parametrize("path", ["/page/static/../page.py", "/page/static/..%2fpage.py", "/page/static/x", "/page/x"])
def test_no_other_file_is_served(server, path):
    session = requests.Session()
    request = session.prepare_request(requests.Request("GET", server.url))
    request.url = server.url + path  # As it is, with its dots.
    assert session.send(request, timeout=30).status_code == 404


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "m4a", "webm"])
def test_a_recording_is_decoded_embedded_and_drawn(server, signatures, tmp_path, suffix):
    file = tmp_path / f"tone.{suffix}"
    corpora.write_format(file, seconds=1.0)
    result = embed(server, file.read_bytes()).json()
    samples = np.frombuffer(base64.b64decode(result["samples"]), "<i2")
    np.testing.assert_array_equal(samples, audio.decode_file(file))
    assert result["seconds"] == samples.size / 16000
    expected = signatures["serving_default"](audio=samples[None].astype(np.float32) / 32768)["embedding"][0]
    np.testing.assert_allclose(result["embedding"], expected, rtol=1e-5, atol=1e-4)
    assert result["parts"] == {"first": 3, "second": 2}
    assert (result["neighbors"], result["note"]) == ([], "")
    drawn = result["picture"]
    values = np.frombuffer(base64.b64decode(drawn["values"]), np.uint8).reshape(drawn["bands"], drawn["columns"])
    loudest = np.argmax(log_mel(samples, sample_rate=16000).mean(axis=0))
    assert np.argmax(values.mean(axis=1)) == loudest


def test_the_picture_of_a_long_sound_is_an_average():
    rng = np.random.default_rng(5)
    samples = (rng.normal(size=16000 * 25) * np.repeat([200, 6000], [160_000, 240_000])).astype(np.int16)
    drawn = sounds.picture(samples, rate=16000, columns=100)
    assert drawn.shape == (80, 100)
    means = drawn.astype(float).mean(axis=0)
    # 15 dB for each factor of 5.6 of the amplitude, where 80 dB are 255.
    assert means[60:].mean() - means[:35].mean() == pytest.approx(255 * 20 * np.log10(30) / 80, rel=0.05)
    assert sounds.picture(np.zeros(5, np.int16), rate=16000, columns=10).shape == (80, 1)


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"", 400, "The body is empty"),
        (b"no sound at all", 422, "cannot be decoded: unreadable"),
        (b"#EXTM3U\n#EXTINF:9,\nfile:///etc/hostname\n", 422, "cannot be decoded"),
        (b"ffconcat version 1.0\nfile /etc/hostname\n", 422, "cannot be decoded"),
        (b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n", 422, "cannot be decoded"),
    ],
)
def test_what_is_no_recording_is_refused(server, content, status, message):
    assert message in error_of(embed(server, content), status=status)


def test_a_recording_that_is_too_long_is_refused(indexed):
    content = io.BytesIO()
    soundfile.write(content, np.zeros(16000 * 60), 16000, format="FLAC")
    assert len(content.getvalue()) < 2**17
    assert "longer than 20 s" in error_of(embed(indexed, content.getvalue()), status=413)


def test_the_nearest_neighbors_have_their_sounds(indexed, index):
    low = (index.parent / "sounds" / "low.wav").read_bytes()
    neighbors = embed(indexed, low).json()["neighbors"]
    assert len(neighbors) == 3
    assert neighbors[0]["name"].endswith("/low.wav")
    assert neighbors[0]["cosine"] == pytest.approx(1, abs=1e-3)
    assert [one["cosine"] for one in neighbors] == sorted((one["cosine"] for one in neighbors), reverse=True)
    assert all(one["has_sound"] for one in neighbors)
    answer = ask(indexed, f"/page/sounds/{neighbors[0]['row']}")
    assert answer.headers["content-type"] == "audio/wav"
    samples, rate = soundfile.read(io.BytesIO(answer.content), dtype="int16")
    assert rate == 16000
    np.testing.assert_array_equal(samples, audio.decode_file(index.parent / "sounds" / "low.wav"))


def test_a_sound_that_takes_long_to_fetch_keeps_nobody_else_waiting(indexed, monkeypatch):
    fetch, is_fetching, may_go_on = readers.fetch, threading.Event(), threading.Event()

    def fetch_late(path, **options):
        is_fetching.set()
        assert may_go_on.wait(timeout=10)
        return fetch(path, **options)

    monkeypatch.setattr(readers, "fetch", fetch_late)
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        sound = threads.submit(ask, indexed, "/page/sounds/0")
        wait_until(is_fetching.is_set)
        assert ask(indexed, "/v2/health/live").status_code == 200
        may_go_on.set()
        assert sound.result().status_code == 200


@pytest.mark.parametrize("row", ["3", "99999999999999999999", "-1", "0x", "%2fetc%2fhostname"])
def test_no_other_sound_is_served(indexed, row):
    assert ask(indexed, f"/page/sounds/{row}").status_code == 404


def test_a_file_that_has_gone_is_said(indexed, index):
    (index.parent / "sounds").rename(index.parent / "elsewhere")
    try:
        assert "missing" in error_of(ask(indexed, "/page/sounds/0"), status=404)
        tone = io.BytesIO()
        soundfile.write(tone, corpora.tone(), 16000, format="WAV")
        assert len(embed(indexed, tone.getvalue()).json()["neighbors"]) == 3
    finally:
        (index.parent / "elsewhere").rename(index.parent / "sounds")


@pytest.fixture
def copied(versions, index, tmp_path):
    """A server, and the index that it has read, which a test may write again."""
    place = tmp_path / "copy.parquet"
    shutil.copy(index, place)
    with running(versions, index=place) as server:
        yield server, place


def reverse(table):
    return table.take(list(reversed(range(len(table)))))


@pytest.mark.parametrize("change", [reverse, lambda table: table.slice(2), None])
def test_an_index_that_is_written_again_is_refused(copied, index, change):
    server, place = copied
    low = (index.parent / "sounds" / "low.wav").read_bytes()
    assert embed(server, low).json()["neighbors"][0]["name"].endswith("/low.wav")
    assert ask(server, "/page/sounds/2").headers["cache-control"] == "no-store"
    place.unlink()
    if change is not None:
        pq.write_table(change(pq.read_table(index)), place)
    result = embed(server, low).json()
    assert len(result["embedding"]) == 5
    assert result["neighbors"] == []
    assert "--index have changed since the server started: restart the server" in result["note"]
    assert "restart the server" in error_of(ask(server, "/page/sounds/2"), status=409)


@pytest.fixture
def relative(versions, tmp_path, monkeypatch):
    """The embeddings of relative paths, written in another folder than the one that the test then is in."""
    there = tmp_path / "there" / "in"
    for name, hertz in (("low", 200.0), ("middle", 900.0), ("high", 3000.0)):
        corpora.write_tone(there / f"{name}.wav", seconds=1.0, hertz=hertz)
    (there / "middle.wav").rename(there / os.fsdecode(b"caf\xe9.wav"))
    corpora.write_tone(tmp_path / "here" / "in" / "low.wav", seconds=0.5, hertz=5000.0)
    monkeypatch.chdir(tmp_path / "there")
    output = tmp_path / "sounds.parquet"
    assert cli.main(["embed", "--model", str(versions / "7"), "--output", str(output), "in"]) == 0
    monkeypatch.chdir(tmp_path / "here")
    return output


def test_relative_names_are_found_from_another_folder(versions, relative, tmp_path):
    there = tmp_path / "there" / "in"
    with running(versions, index=relative) as server:
        neighbors = embed(server, (there / "low.wav").read_bytes()).json()["neighbors"]
        assert sorted(one["name"] for one in neighbors) == ["in/caf\\xe9.wav", "in/high.wav", "in/low.wav"]
        for one in neighbors:
            assert one["has_sound"]
            content = ask(server, f"/page/sounds/{one['row']}").content
            samples, _ = soundfile.read(io.BytesIO(content), dtype="int16")
            name = one["name"].removeprefix("in/").replace("\\xe9", os.fsdecode(b"\xe9"))
            np.testing.assert_array_equal(samples, audio.decode_file(there / name))
        (row,) = (one["row"] for one in neighbors if one["name"] == "in/low.wav")
        (there / "low.wav").write_bytes(b"no sound")
        damaged = ask(server, f"/page/sounds/{row}")
        assert "unreadable" in error_of(damaged, status=422)
        (there / "low.wav").unlink()
        gone = ask(server, f"/page/sounds/{row}")
        assert f"the row {row} of --index is missing" in error_of(gone, status=404)
        found = embed(server, (there / "high.wav").read_bytes())
        assert [one["name"] for one in found.json()["neighbors"] if not one["has_sound"]] == ["in/low.wav"]
        for answer in (damaged, gone, found):
            assert str(tmp_path) not in answer.text


def test_a_name_that_fits_two_files_has_no_sound(versions, relative, tmp_path):
    there = tmp_path / "there" / "in"
    corpora.write_tone(there / "caf\\xe9.wav", seconds=1.0, hertz=1000.0)
    with running(versions, index=relative) as server:
        neighbors = embed(server, (there / "low.wav").read_bytes()).json()["neighbors"]
    assert [one["name"] for one in neighbors if not one["has_sound"]] == ["in/caf\\xe9.wav"]


def test_relative_names_without_a_folder_lead_from_the_server(versions, relative, tmp_path):
    table = pq.read_table(relative)
    assert outputs.FOLDER.encode() in table.schema.metadata
    model = {outputs.MODEL: table.schema.metadata[outputs.MODEL.encode()]}
    pq.write_table(table.replace_schema_metadata(model), relative)
    with running(versions, index=relative) as server:
        neighbors = embed(server, (tmp_path / "there" / "in" / "low.wav").read_bytes()).json()["neighbors"]
        assert [one["name"] for one in neighbors if one["has_sound"]] == ["in/low.wav"]
        content = ask(server, f"/page/sounds/{neighbors[0]['row']}").content
        assert soundfile.info(io.BytesIO(content)).duration == 0.5


def test_only_its_own_model_searches_an_index(versions, index, tmp_path):
    tiny_model.write(tmp_path / "8", seed=1)
    with pytest.raises(UserError, match=r"is not the model that made --index"):  # noqa: SIM117
        with run.prepared(run.Settings(model=str(tmp_path), index=str(index))):
            pass
    shutil.copytree(versions / "7", tmp_path / "9")
    with running(tmp_path, index=index) as server:
        shutil.rmtree(tmp_path / "9")
        server.service.models.refresh()
        result = embed(server, pathlib.Path(index.parent / "sounds" / "low.wav").read_bytes()).json()
        assert result["version"] == 8
        assert result["neighbors"] == []
        assert "Version 8 of the model did not make the embeddings of --index" in result["note"]
