"""How much sound a file holds, against what its header says: files cut short are told from those that only look so."""

import fractions

import av
import numpy as np
import pytest

from beam_jobs import audio
from tests import corpora

RATE = 48000
# suffix -> (encoder of the pictures, of the sound, its sample format)
FILMS = {
    "mp4": ("mpeg4", "aac", "fltp"),
    "mov": ("mpeg4", "aac", "fltp"),
    "mkv": ("mpeg4", "aac", "fltp"),
    "webm": ("libvpx", "libopus", "flt"),
}


def write_film(path, *, picture_s, sound_s, start_s=0.0):
    """Pictures at 10 a second beside noise, which may start later than they do."""
    picture, sound, sample_format = FILMS[path.suffix[1:]]
    options = {"movflags": "faststart"} if path.suffix in (".mp4", ".mov") else {}
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, round(sound_s * RATE)).astype(np.float32)
    with av.open(str(path), "w", options=options) as container:
        pictures = container.add_stream(picture, rate=10, width=64, height=64, pix_fmt="yuv420p")
        sounds = container.add_stream(sound, rate=RATE, layout="mono", format=sample_format)
        for i in range(round(10 * picture_s)):
            frame = av.VideoFrame.from_ndarray(np.full((96, 64), 8 * i % 256, np.uint8), format="yuv420p")
            frame.pts, frame.time_base = i, fractions.Fraction(1, 10)
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        for start in range(0, noise.size, 960):
            block = av.AudioFrame.from_ndarray(noise[None, start : start + 960], format=sample_format, layout="mono")
            block.sample_rate, block.pts = RATE, start + round(start_s * RATE)
            container.mux(sounds.encode(block))
        container.mux(sounds.encode(None))


def cause(path, **segment):
    with pytest.raises(audio.DecodeError) as caught:
        audio.decode(path, **segment)
    return caught.value.cause


@pytest.mark.parametrize("suffix", FILMS)
class TestFilm:
    @pytest.mark.parametrize(("picture_s", "sound_s", "start_s"), [(5.0, 3.0, 0.0), (2.0, 3.0, 0.0), (5.0, 3.0, 1.5)])
    def test_pictures_that_go_on_when_the_sound_has_ended(self, tmp_path, suffix, picture_s, sound_s, start_s):
        path = tmp_path / f"a.{suffix}"
        write_film(path, picture_s=picture_s, sound_s=sound_s, start_s=start_s)
        assert audio.decode(path).size / 16000 == pytest.approx(sound_s, abs=0.1)
        assert audio.decode(path, start_s=1.0, end_s=2.5).size == 24000

    def test_cut_short(self, tmp_path, suffix):
        path = tmp_path / f"a.{suffix}"
        write_film(path, picture_s=5.0, sound_s=4.0)
        corpora.cut_short(path)
        assert cause(path) == "truncated"
        assert audio.decode(path, start_s=0.5, end_s=1.5).size == 16000


def test_matroska_without_the_length_of_its_streams_is_no_film_cut_short(tmp_path):
    """Other programs than FFmpeg leave the tags out, and then only the length of the whole is there."""
    path = tmp_path / "a.mkv"
    write_film(path, picture_s=5.0, sound_s=3.0)
    path.write_bytes(path.read_bytes().replace(b"DURATION", b"SOMEHOWS"))
    assert audio.decode(path).size / 16000 == pytest.approx(3.0, abs=0.1)
