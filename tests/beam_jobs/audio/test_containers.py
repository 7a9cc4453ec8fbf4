"""What FFmpeg may open, and which track of a file is its sound."""

import io
import pathlib

import av
import numpy as np
import pytest

from beam_jobs import audio
from beam_jobs.audio import decoder
from tests.beam_jobs.audio import media

PLAYLISTS = {
    "ffconcat": "ffconcat version 1.0\nfile a.wav\n",
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:3.0,\na.ts\n#EXT-X-ENDLIST\n",
    "m3u": "#EXTM3U\na.wav\n",
    "pls": "[playlist]\nFile1=a.wav\nNumberOfEntries=1\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet '
    'mimeType="audio/mp4"><Representation id="1"><BaseURL>a.m4a</BaseURL></Representation></AdaptationSet></Period>'
    "</MPD>",
    "xspf": '<?xml version="1.0"?><playlist><trackList><track><location>a.wav</location></track></trackList>',
    "cue": 'FILE "a.wav" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
    "asx": '<ASX version="3.0"><Entry><Ref href="a.wma"/></Entry></ASX>',
    "ffmetadata": ";FFMETADATA1\ntitle=x\n",
    "srt": "1\n00:00:01,000 --> 00:00:02,000\nhello\n",
    "html": "<!DOCTYPE html><html><body>404 Not Found</body></html>\n" * 20,
    "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "ppm": b"P6\n2 2\n255\n123456789012",
}


def failure(source):
    with pytest.raises(audio.DecodeError) as caught:
        media.read(source)
    return caught.value.cause, str(caught.value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with what the playlists name."""
    folder = tmp_path_factory.mktemp("playlists")
    for name, container, codec in (("a.wav", "wav", "pcm_s16le"), ("a.ts", "mpegts", "mp2"), ("a.m4a", "ipod", "aac")):
        (folder / name).write_bytes(media.encode(media.noise(0.5), container=container, codec=codec))
    return folder


@pytest.mark.parametrize("suffix", ["", "wav", "mp3", "m4a", "itself"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_what_names_other_files_is_unreadable(folder, monkeypatch, kind, suffix):
    monkeypatch.chdir(folder)
    path = pathlib.Path(f"list.{suffix}".replace("itself", kind))
    content = PLAYLISTS[kind]
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert failure(str(path))[0] == "unreadable"
    assert failure(path.read_bytes())[0] == "unreadable"


@pytest.mark.parametrize(
    "suffix", ["ul", "al", "sw", "g722", "g726", "gsm", "adp", "sbc", "s16le", "u8", "dat", "aptx"]
)
def test_the_name_of_a_file_makes_no_format(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(np.random.default_rng(0).bytes(20000))
    assert failure(str(path))[0] == "unreadable"


@pytest.mark.parametrize("name", ["2024-05-01T12:30:05.m4a", "concat:a.m4a", "http:a.m4a", "a%20b%03d.m4a", "pipe:0"])
def test_a_name_is_no_address(folder, monkeypatch, name):
    monkeypatch.chdir(folder)
    pathlib.Path(name).write_bytes(pathlib.Path("a.m4a").read_bytes())
    assert media.seconds(name) == pytest.approx(0.5, abs=0.05)


def unknown_wav():
    content = bytearray(media.encode(media.noise(0.5), container="wav", codec="pcm_s16le"))
    format_tag = content.index(b"fmt ") + 8
    content[format_tag : format_tag + 2] = (0x7777).to_bytes(2, "little")
    return bytes(content)


def unknown_mka():
    return media.encode(media.noise(0.5), container="matroska", codec="libopus").replace(b"A_OPUS", b"A_APAC")


def apac(content):
    """Gives the last track of an MP4 file the code of Apple's codec for spatial sound."""
    entry, description = content.rindex(b"mp4a\0"), content.rindex(b"esds")
    return content[:entry] + b"apac" + content[entry + 4 : description] + b"dapa" + content[description + 4 :]


def unknown_m4a():
    return apac(media.encode(media.noise(0.5), container="ipod", codec="aac"))


@pytest.mark.parametrize(("make", "code"), [(unknown_wav, "0x7777"), (unknown_mka, "A_APAC"), (unknown_m4a, "apac")])
def test_an_unknown_codec_is_named(make, code):
    cause, message = failure(make())
    assert cause == "unreadable"
    assert message == f"unknown codec {code}: convert the file with the program that made it"


def test_what_is_of_no_known_format_does_not_crash_the_decoder(folder):
    child = decoder.Decoder(sample_rate=16000, rules=audio.Rules())
    sources = [unknown_wav(), unknown_mka(), unknown_m4a(), *(str(content).encode() for content in PLAYLISTS.values())]
    causes = set()
    for source in sources:
        with pytest.raises(audio.DecodeError) as caught:
            child.decode(source)
        causes.add(caught.value.cause)
    child.close()
    assert causes == {"unreadable"}


def tracks(container, *, default, hertz=(500.0, 900.0)):
    """Returns a file with a track for each tone, one of which is the default."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        streams = [output.add_stream("aac", rate=media.RATE, layout="mono") for _ in hertz]
        for i, stream in enumerate(streams):
            stream.disposition = av.stream.Disposition.default if i == default else av.stream.Disposition(0)
        for start in range(0, media.RATE, 960):
            for stream, h in zip(streams, hertz, strict=True):
                block = media.tone(h, seconds=1.0)[None, start : start + 960]
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                frame.sample_rate, frame.pts = media.RATE, start
                output.mux(stream.encode(frame))
        for stream in streams:
            output.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize("container", ["mp4", "matroska", "mov"])
@pytest.mark.parametrize("default", [0, 1])
def test_the_default_track_is_preferred_to_the_first(container, default):
    samples = media.read(tracks(container, default=default)).samples
    assert media.hertz(samples, rate=media.RATE) == pytest.approx((500.0, 900.0)[default], abs=2)


def test_if_the_codec_of_the_default_track_is_unknown_the_next_is_read():
    samples = media.read(apac(tracks("mp4", default=1))).samples
    assert media.hertz(samples, rate=media.RATE) == pytest.approx(500.0, abs=2)


def tagged(tags, *, container="matroska", seconds=1.0):
    """Returns a file whose track has tags of its length."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream("libopus", rate=media.RATE, layout="mono")
        stream.metadata.update(tags)
        wave = media.noise(seconds)
        for start in range(0, wave.size, 960):
            frame = av.AudioFrame.from_ndarray(wave[None, start : start + 960], format="flt", layout="mono")
            frame.sample_rate, frame.pts = media.RATE, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize("container", ["matroska", "webm"])
@pytest.mark.parametrize("language", ["eng", "ger", "jpn"])
def test_a_length_that_was_copied_from_a_longer_file_is_no_promise(container, language):
    content = tagged({f"DURATION-{language}": "00:00:20.000000000"}, container=container)
    with av.open(io.BytesIO(content)) as opened:
        assert {"DURATION", f"DURATION-{language}"} <= set(opened.streams[0].metadata)
    assert media.seconds(content) == pytest.approx(1.0, abs=0.03)
    # Without FFmpeg's own, the file's length is known.
    assert media.seconds(content.replace(b"DURATION\x44", b"SOMEHOWS\x44")) == pytest.approx(1.0, abs=0.03)
    assert failure(content[: len(content) * 6 // 10])[0] == "truncated"


@pytest.mark.parametrize("encoding", ["latin-1", "cp1251", "shift-jis"])
def test_tags_in_old_encodings_are_no_reason_to_refuse_the_sound(encoding):
    title = {"latin-1": "Dvořák"[:3] + "é", "cp1251": "Глинка", "shift-jis": "音楽"}[encoding].encode(
        encoding, "replace"
    )
    content = tagged({"TITLE": "X" * len(title)})
    assert media.seconds(content.replace(b"X" * len(title), title)) == pytest.approx(1.0, abs=0.03)


def test_amr_of_a_telephone_that_sends_little_in_a_pause():
    wave = np.concatenate([media.noise(1.0, rate=8000), np.zeros(16000, np.float32), media.noise(1.0, rate=8000)])
    whole, paused = (
        media.encode(wave, container="amr", codec="libopencore_amrnb", rate=8000, codec_options={"dtx": dtx})
        for dtx in "01"
    )
    assert len(paused) < 0.8 * len(whole)
    assert media.seconds(paused) == media.seconds(whole)
    assert media.seconds(paused * 2) == 2 * media.seconds(whole)


@pytest.mark.parametrize("suffix", ["flac", "mlp", "thd", "qoa"])
def test_a_page_that_is_named_as_sound_is_of_no_known_format(tmp_path, suffix):
    """FFmpeg opens it for its suffix, and finds no frame in it."""
    (tmp_path / f"a.{suffix}").write_bytes(b"<!DOCTYPE html><html><body>404 Not Found</body></html>\n" * 400)
    cause, _ = failure(str(tmp_path / f"a.{suffix}"))
    assert cause == "unreadable"


@pytest.mark.parametrize(("container", "codec"), [("mov", "aac"), ("matroska", "pcm_f32le"), ("matroska", "libopus")])
def test_eight_channels(container, codec):
    """PyAV reads beyond the end of a list if each of eight channels has a plane of its own."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=48000, layout="7.1")
        wave = np.repeat(media.dull_noise(1.0)[None], 8, axis=0)
        for start in range(0, wave.shape[1], 960):
            frame = av.AudioFrame.from_ndarray(
                wave[:, start : start + 960].T.reshape(1, -1), format="flt", layout="7.1"
            )
            frame.sample_rate, frame.pts = 48000, start
            for converted in av.AudioResampler(format=stream.format, layout="7.1", rate=48000).resample(frame):
                output.mux(stream.encode(converted))
        output.mux(stream.encode(None))
    sound = media.read(file.getvalue())
    assert sound.samples.size / sound.rate == pytest.approx(1.0, abs=0.05)
    assert abs(media.lag_s(sound.samples, media.dull_noise(1.0))) < 0.03
