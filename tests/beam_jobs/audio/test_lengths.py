"""How much sound a file holds, against what its header says: files cut short are told from those that only look so."""

import fractions
import pathlib

import av
import numpy as np
import pytest
import soundfile

from beam_jobs import audio
from beam_jobs.audio import ogg, readers
from tests import corpora

DATA = pathlib.Path(__file__).parents[4] / "shared" / "data"
RATE = 48000
# suffix -> (encoder of the pictures, of the sound, its sample format)
FILMS = {
    "mp4": ("mpeg4", "aac", "fltp"),
    "mov": ("mpeg4", "aac", "fltp"),
    "mkv": ("mpeg4", "aac", "fltp"),
    "webm": ("libvpx", "libopus", "flt"),
}


def noise(seconds):
    return np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * RATE)).astype(np.float32)


def write_film(path, *, picture_s, sound_s, start_s=0.0):
    """Pictures at 10 a second beside noise, which may start later than they do."""
    picture, sound, sample_format = FILMS[path.suffix[1:]]
    options = {"movflags": "faststart"} if path.suffix in (".mp4", ".mov") else {}
    wave = noise(sound_s)
    with av.open(str(path), "w", options=options) as container:
        pictures = container.add_stream(picture, rate=10, width=64, height=64, pix_fmt="yuv420p")
        sounds = container.add_stream(sound, rate=RATE, layout="mono", format=sample_format)
        for i in range(round(10 * picture_s)):
            frame = av.VideoFrame.from_ndarray(np.full((96, 64), 8 * i % 256, np.uint8), format="yuv420p")
            frame.pts, frame.time_base = i, fractions.Fraction(1, 10)
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        for start in range(0, wave.size, 960):
            block = av.AudioFrame.from_ndarray(wave[None, start : start + 960], format=sample_format, layout="mono")
            block.sample_rate, block.pts = RATE, start + round(start_s * RATE)
            container.mux(sounds.encode(block))
        container.mux(sounds.encode(None))


def cause(path, **segment):
    with pytest.raises(audio.DecodeError) as caught:
        audio.decode_file(path, **segment)
    return caught.value.cause


@pytest.mark.parametrize("suffix", FILMS)
class TestFilm:
    @pytest.mark.parametrize(("picture_s", "sound_s", "start_s"), [(5.0, 3.0, 0.0), (2.0, 3.0, 0.0), (5.0, 3.0, 1.5)])
    def test_pictures_that_go_on_when_the_sound_has_ended(self, tmp_path, suffix, picture_s, sound_s, start_s):
        path = tmp_path / f"a.{suffix}"
        write_film(path, picture_s=picture_s, sound_s=sound_s, start_s=start_s)
        assert audio.decode_file(path).size / 16000 == pytest.approx(sound_s, abs=0.1)
        assert audio.decode_file(path, start_s=1.0, end_s=2.5).size == 24000

    def test_cut_short(self, tmp_path, suffix):
        path = tmp_path / f"a.{suffix}"
        write_film(path, picture_s=5.0, sound_s=4.0)
        corpora.cut_short(path)
        assert cause(path) == "truncated"
        assert audio.decode_file(path, start_s=0.5, end_s=1.5).size == 16000


class TestSegmentOfAFilm:
    @pytest.fixture(params=FILMS)
    def path(self, tmp_path, request):
        write_film(tmp_path / f"a.{request.param}", picture_s=6.0, sound_s=6.0)
        return tmp_path / f"a.{request.param}"

    @pytest.mark.parametrize(
        ("start_s", "end_s", "unless_whole", "decoded_s"),
        [
            (0.0, 1.0, False, 1.0),
            (1.5, 2.25, False, 2.25),
            (1.5, 2.25, True, 2.25),
            (0.5, 2.5, True, 3.0),  # it is the whole file if no more than a second more comes
            (4.0, 6.5, False, 6.0),
            (5.5, 9.0, False, 6.0),
            (0.0, 5.5, True, 6.0),
        ],
    )
    def test_it_is_that_of_the_whole_and_no_more_is_decoded(
        self, path, monkeypatch, start_s, end_s, unless_whole, decoded_s
    ):
        whole = readers.read(str(path)).samples
        decoded, mono = [], readers._mono
        monkeypatch.setattr(
            readers, "_mono", lambda block, axis: decoded.append(block.shape[1]) or mono(block, axis=axis)
        )
        samples = readers.read(str(path), start_s=start_s, end_s=end_s, unless_whole=unless_whole).samples
        expected = whole if unless_whole and end_s > 5 else whole[round(start_s * RATE) : round(end_s * RATE)]
        np.testing.assert_array_equal(samples, expected)
        assert sum(decoded) / RATE == pytest.approx(decoded_s, abs=0.1)


def test_matroska_without_the_length_of_its_streams_is_no_film_cut_short(tmp_path):
    """Other programs than FFmpeg leave the tags out, and then only the length of the whole is there."""
    path = tmp_path / "a.mkv"
    write_film(path, picture_s=5.0, sound_s=3.0)
    path.write_bytes(path.read_bytes().replace(b"DURATION", b"SOMEHOWS"))
    assert audio.decode_file(path).size / 16000 == pytest.approx(3.0, abs=0.1)


OGG = [("ogg", "VORBIS"), ("opus", "OPUS")]


@pytest.mark.parametrize(("suffix", "subtype"), OGG)
class TestOgg:
    """Four seconds of noise, in pages of some kB."""

    @pytest.fixture
    def path(self, tmp_path, suffix, subtype):
        path = tmp_path / f"a.{suffix}"
        soundfile.write(path, noise(4.0), RATE, format="OGG", subtype=subtype)
        return path

    def test_intact(self, path):
        assert audio.decode_file(path).size == pytest.approx(64000, abs=500)
        assert ogg.cut_page(str(path)) is ogg.cut_page(path.read_bytes()) is None

    @pytest.mark.parametrize("share", [0.4, 0.6, 0.8])
    def test_cut_short(self, path, share):
        corpora.cut_short(path, share=share)
        assert cause(path) == cause(path, start_s=1.0, end_s=4.0) == "truncated"
        with pytest.raises(audio.DecodeError, match="breaks off after .* s, before its last page"):
            readers.read(path.read_bytes())
        assert audio.decode_file(path, start_s=0.2, end_s=0.7).size == 8000

    def test_cut_short_and_read_by_ffmpeg(self, path, monkeypatch):
        monkeypatch.setattr(readers, "_read_sndfile", self._refuse)
        assert audio.decode_file(path).size == pytest.approx(64000, abs=500)
        corpora.cut_short(path)
        assert cause(path) == "truncated"
        assert audio.decode_file(path, start_s=0.2, end_s=0.7).size == 8000

    def _refuse(self, *_, **__):
        raise soundfile.LibsndfileError(1)

    @pytest.mark.parametrize("letters", [1, 3, 4, 20, 27, 30])
    def test_cut_in_the_head_of_a_page(self, path, letters):
        content = path.read_bytes()
        path.write_bytes(content[: content.rindex(b"OggS", 0, len(content) // 2) + letters])
        assert cause(path) == "truncated"

    def test_without_a_flag_on_the_last_page_it_is_whole(self, path):
        """As recorded radio is; nothing but the flag is missing."""
        content = path.read_bytes()
        path.write_bytes(content[: content.rindex(b"OggS")])
        assert audio.decode_file(path).size == pytest.approx(64000, rel=0.15)

    def test_something_behind_the_last_page(self, path):
        path.write_bytes(path.read_bytes() + b"TAG" + bytes(125))
        assert audio.decode_file(path).size == pytest.approx(64000, abs=500)


@pytest.mark.parametrize(
    ("suffix", "subtype", "seconds", "kept"), [(*OGG[0], 8.0, 7.65), (*OGG[1], 8.0, 7.54), (*OGG[1], 1.0, None)]
)
def test_of_the_last_page_of_an_ogg_file_it_counts_how_much_is_lost(tmp_path, suffix, subtype, seconds, kept):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, noise(seconds), RATE, format="OGG", subtype=subtype)
    path.write_bytes(path.read_bytes()[:-1])
    assert ogg.cut_page(str(path)) == ogg.CutPage(is_last=True, granule=seconds * RATE + 312 * (suffix == "opus"))
    if kept is None:
        assert cause(path) == "truncated"
    else:
        assert audio.decode_file(path).size / 16000 == pytest.approx(kept, abs=0.02)


class TestMp3WithoutItsLength:
    """Neither Xing nor VBRI header: libsndfile guesses the length from the bit rate of the first frame."""

    def write(self, path, *, loudness, **options):
        """A second of noise for each loudness: the louder, the more bits it takes."""
        wave = np.concatenate([level * noise(1.0) for level in loudness])
        with av.open(str(path), "w", options={"write_xing": "0"}) as container:
            stream = container.add_stream("libmp3lame", rate=RATE, layout="mono", format="fltp", options=options)
            for start in range(0, wave.size, 1152):
                frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1152], format="fltp", layout="mono")
                frame.sample_rate, frame.pts = RATE, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    @pytest.mark.parametrize("loudness", [(1.0,) * 3 + (0.001,) * 9, (0.001,) * 9 + (1.0,) * 3])
    def test_variable_bit_rate(self, tmp_path, loudness):
        path = tmp_path / "a.mp3"
        self.write(path, loudness=loudness, flags="+qscale", global_quality="236")
        assert abs(soundfile.info(path).duration - 12) > 2  # what libsndfile makes of it
        for source in (str(path), path.read_bytes()):
            decoded = readers.read(source)
            assert decoded.samples.size / decoded.rate == pytest.approx(12.0, abs=0.1)
            seconds = [np.abs(decoded.samples[i * RATE + 9600 :][:28800]).max() for i in range(12)]
            assert [second > 0.1 for second in seconds] == [level > 0.1 for level in loudness]
        part = audio.decode_file(path, start_s=9.2, end_s=9.8)
        assert part.size == 9600
        assert (np.abs(part).max() > 3000) == (loudness[9] > 0.1)

    @pytest.mark.parametrize("rubbish", [bytes(4000), b"LYRICSBEGIN" + 99 * b"la la LYRICS200", b"TAG" + bytes(125)])
    def test_rubbish_at_its_end_and_in_its_midst(self, tmp_path, rubbish):
        path = tmp_path / "a.mp3"
        self.write(path, loudness=(1.0,) * 3 + (0.001,) * 9, flags="+qscale", global_quality="236")
        content = path.read_bytes()
        sound = readers.read(content + rubbish)
        assert sound.samples.size / sound.rate == pytest.approx(12.0, abs=0.1)
        with pytest.raises(audio.DecodeError) as caught:
            readers.read(content[:40000] + bytes(4000) + content[44000:])
        assert caught.value.cause == "truncated"

    def test_constant_bit_rate_is_read_as_before(self, tmp_path):
        self.write(tmp_path / "a.mp3", loudness=(1.0, 0.001, 0.5), b="128k")
        sound = readers.read(str(tmp_path / "a.mp3"))
        np.testing.assert_array_equal(sound.samples, soundfile.read(tmp_path / "a.mp3", dtype="float32")[0])
        assert sound.codec == "mp3/mpeg_layer_iii"


@pytest.mark.skipif(not DATA.exists(), reason=f"there is no {DATA}")
@pytest.mark.parametrize("corpus", ["esc50", "ambience"])
def test_no_intact_file_of_the_real_corpora_seems_cut(corpus):
    files = sorted((DATA / corpus / "audio").glob("*.ogg"))
    assert files
    assert not [file.name for file in files if ogg.cut_page(str(file))]
