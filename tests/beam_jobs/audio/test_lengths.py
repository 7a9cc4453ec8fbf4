"""Files that were cut short are refused, and intact files that only look like it are not."""

import fractions
import pathlib

import av
import numpy as np
import pytest
import soundfile

from beam_jobs import audio
from beam_jobs.audio import ffmpeg, ogg, readers
from beam_jobs.audio.sound import Segment
from tests import corpora

DATA = pathlib.Path(__file__).parents[4] / "shared" / "data"
RATE = 48000
# suffix -> (video encoder, audio encoder, sample format of the audio)
VIDEOS = {
    "mp4": ("mpeg4", "aac", "fltp"),
    "mov": ("mpeg4", "aac", "fltp"),
    "mkv": ("mpeg4", "aac", "fltp"),
    "webm": ("libvpx", "libopus", "flt"),
}


def noise(seconds):
    return np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * RATE)).astype(np.float32)


def write_video(path, *, picture_s, sound_s, start_s=0.0):
    """Writes pictures, 10 per second, and noise, which may start later than the pictures."""
    picture, sound, sample_format = VIDEOS[path.suffix[1:]]
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


@pytest.mark.parametrize("suffix", VIDEOS)
class TestVideo:
    @pytest.mark.parametrize(("picture_s", "sound_s", "start_s"), [(5.0, 3.0, 0.0), (2.0, 3.0, 0.0), (5.0, 3.0, 1.5)])
    def test_sound_may_be_shorter_or_longer_than_the_pictures(self, tmp_path, suffix, picture_s, sound_s, start_s):
        path = tmp_path / f"a.{suffix}"
        write_video(path, picture_s=picture_s, sound_s=sound_s, start_s=start_s)
        assert audio.decode_file(path).size / 16000 == pytest.approx(sound_s, abs=0.1)
        assert audio.decode_file(path, start_s=1.0, end_s=2.5).size == 24000

    def test_video_cut_short_is_truncated(self, tmp_path, suffix):
        path = tmp_path / f"a.{suffix}"
        write_video(path, picture_s=5.0, sound_s=4.0)
        corpora.cut_short(path)
        assert cause(path) == "truncated"
        assert audio.decode_file(path, start_s=0.5, end_s=1.5).size == 16000


class TestSegmentOfAVideo:
    @pytest.fixture(params=VIDEOS)
    def path(self, tmp_path, request):
        write_video(tmp_path / f"a.{request.param}", picture_s=6.0, sound_s=6.0)
        return tmp_path / f"a.{request.param}"

    @pytest.mark.parametrize(
        ("start_s", "end_s", "may_be_trimmed", "decoded_s"),
        [
            (0.0, 1.0, False, 1.0),
            (1.5, 2.25, False, 2.25),
            (1.5, 2.25, True, 2.25),
            (0.5, 2.5, True, 3.0),  # If the file ended within one more second, it would be read whole.
            (4.0, 6.5, False, 6.0),
            (5.5, 9.0, False, 6.0),
            (0.0, 5.5, True, 6.0),
        ],
    )
    def test_it_equals_that_part_of_the_whole_and_the_rest_is_not_decoded(
        self, path, monkeypatch, start_s, end_s, may_be_trimmed, decoded_s
    ):
        whole = readers.read(str(path)).samples
        decoded = []
        to_mono = ffmpeg.to_mono

        def count_samples(block, *, channel_axis, loudest):
            decoded.append(block.shape[1])
            return to_mono(block, channel_axis=channel_axis, loudest=loudest)

        monkeypatch.setattr(ffmpeg, "to_mono", count_samples)
        segment = Segment(start_s=start_s, end_s=end_s, may_be_trimmed=may_be_trimmed)
        samples = readers.read(str(path), segment).samples
        is_read_whole = may_be_trimmed and end_s > 5
        expected = whole if is_read_whole else whole[round(start_s * RATE) : round(end_s * RATE)]
        np.testing.assert_array_equal(samples, expected)
        assert sum(decoded) / RATE == pytest.approx(decoded_s, abs=0.1)


def test_matroska_without_the_lengths_of_its_streams_is_not_truncated(tmp_path):
    """Other programs than FFmpeg do not write these tags. The file then only has the length of its longest stream."""
    path = tmp_path / "a.mkv"
    write_video(path, picture_s=5.0, sound_s=3.0)
    path.write_bytes(path.read_bytes().replace(b"DURATION", b"SOMEHOWS"))
    assert audio.decode_file(path).size / 16000 == pytest.approx(3.0, abs=0.1)


OGG = [("ogg", "VORBIS"), ("opus", "OPUS")]


@pytest.mark.parametrize(("suffix", "subtype"), OGG)
class TestOgg:
    """Four seconds of noise, in pages of a few kilobytes."""

    @pytest.fixture
    def path(self, tmp_path, suffix, subtype):
        path = tmp_path / f"a.{suffix}"
        soundfile.write(path, noise(4.0), RATE, format="OGG", subtype=subtype)
        return path

    def test_intact_file_is_whole(self, path):
        assert audio.decode_file(path).size == pytest.approx(64000, abs=500)
        assert ogg.find_incomplete_page(str(path)) is None
        assert ogg.find_incomplete_page(path.read_bytes()) is None

    @pytest.mark.parametrize("share", [0.4, 0.6, 0.8])
    def test_file_cut_short_is_truncated(self, path, share):
        corpora.cut_short(path, share=share)
        assert cause(path) == "truncated"
        assert cause(path, start_s=1.0, end_s=4.0) == "truncated"
        with pytest.raises(audio.DecodeError, match="breaks off after .* s, before its last page"):
            readers.read(path.read_bytes())
        assert audio.decode_file(path, start_s=0.2, end_s=0.7).size == 8000

    def test_file_cut_short_is_truncated_for_ffmpeg_too(self, path, monkeypatch):
        def fail(_):
            raise soundfile.LibsndfileError(1)

        monkeypatch.setattr(soundfile, "SoundFile", fail)
        assert audio.decode_file(path).size == pytest.approx(64000, abs=500)
        corpora.cut_short(path)
        assert cause(path) == "truncated"
        assert audio.decode_file(path, start_s=0.2, end_s=0.7).size == 8000

    @pytest.mark.parametrize("count", [1, 3, 4, 20, 27, 30])
    def test_file_cut_inside_the_header_of_a_page_is_truncated(self, path, count):
        content = path.read_bytes()
        path.write_bytes(content[: content.rindex(b"OggS", 0, len(content) // 2) + count])
        assert cause(path) == "truncated"

    def test_file_without_an_end_of_stream_flag_is_whole(self, path):
        """Recordings of radio streams look like this."""
        content = path.read_bytes()
        path.write_bytes(content[: content.rindex(b"OggS")])
        assert audio.decode_file(path).size == pytest.approx(64000, rel=0.15)

    def test_tags_after_the_last_page_are_ignored(self, path):
        path.write_bytes(path.read_bytes() + b"TAG" + bytes(125))
        assert audio.decode_file(path).size == pytest.approx(64000, abs=500)


@pytest.mark.parametrize(
    ("suffix", "subtype", "seconds", "kept_s"),
    [("ogg", "VORBIS", 8.0, 7.65), ("opus", "OPUS", 8.0, 7.54), ("opus", "OPUS", 1.0, None)],
)
def test_damage_to_the_last_page_of_an_ogg_file_is_accepted_if_little_sound_is_missing(
    tmp_path, suffix, subtype, seconds, kept_s
):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, noise(seconds), RATE, format="OGG", subtype=subtype)
    path.write_bytes(path.read_bytes()[:-1])
    pre_skip = 312 if subtype == "OPUS" else 0
    page = ogg.IncompletePage(is_last=True, granule=seconds * RATE + pre_skip)
    assert ogg.find_incomplete_page(str(path)) == page
    if kept_s is None:
        assert cause(path) == "truncated"
    else:
        assert audio.decode_file(path).size / 16000 == pytest.approx(kept_s, abs=0.02)


class TestMp3WithoutItsLength:
    """Without a Xing or VBRI header, libsndfile guesses the length from the bit rate of the first frame."""

    def write(self, path, *, loudness, **options):
        """Writes one second of noise for each loudness. Louder noise takes more bits."""
        wave = np.concatenate([level * noise(1.0) for level in loudness])
        with av.open(str(path), "w", options={"write_xing": "0"}) as container:
            stream = container.add_stream("libmp3lame", rate=RATE, layout="mono", format="fltp", options=options)
            for start in range(0, wave.size, 1152):
                frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1152], format="fltp", layout="mono")
                frame.sample_rate, frame.pts = RATE, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    @pytest.mark.parametrize("loudness", [(1.0,) * 3 + (0.001,) * 9, (0.001,) * 9 + (1.0,) * 3])
    def test_variable_bit_rate_is_read_to_its_end(self, tmp_path, loudness):
        path = tmp_path / "a.mp3"
        self.write(path, loudness=loudness, flags="+qscale", global_quality="236")
        assert abs(soundfile.info(path).duration - 12) > 2  # libsndfile guesses wrong.
        for source in (str(path), path.read_bytes()):
            decoded = readers.read(source)
            assert decoded.samples.size / decoded.rate == pytest.approx(12.0, abs=0.1)
            seconds = [np.abs(decoded.samples[i * RATE + 9600 :][:28800]).max() for i in range(12)]
            assert [second > 0.1 for second in seconds] == [level > 0.1 for level in loudness]
        part = audio.decode_file(path, start_s=9.2, end_s=9.8)
        assert part.size == 9600
        assert (np.abs(part).max() > 3000) == (loudness[9] > 0.1)

    @pytest.mark.parametrize("rubbish", [bytes(4000), b"LYRICSBEGIN" + 99 * b"la la LYRICS200", b"TAG" + bytes(125)])
    def test_rubbish_is_ignored_at_the_end_but_not_in_the_middle(self, tmp_path, rubbish):
        path = tmp_path / "a.mp3"
        self.write(path, loudness=(1.0,) * 3 + (0.001,) * 9, flags="+qscale", global_quality="236")
        content = path.read_bytes()
        sound = readers.read(content + rubbish)
        assert sound.samples.size / sound.rate == pytest.approx(12.0, abs=0.1)
        with pytest.raises(audio.DecodeError) as caught:
            readers.read(content[:40000] + bytes(4000) + content[44000:])
        assert caught.value.cause == "truncated"

    def test_constant_bit_rate_is_read_by_libsndfile(self, tmp_path):
        self.write(tmp_path / "a.mp3", loudness=(1.0, 0.001, 0.5), b="128k")
        sound = readers.read(str(tmp_path / "a.mp3"))
        np.testing.assert_array_equal(sound.samples, soundfile.read(tmp_path / "a.mp3", dtype="float32")[0])
        assert sound.codec == "mp3/mpeg_layer_iii"


@pytest.mark.skipif(not DATA.exists(), reason=f"there is no {DATA}")
@pytest.mark.parametrize("corpus", ["esc50", "ambience"])
def test_no_file_of_the_real_corpora_counts_as_cut_short(corpus):
    files = sorted((DATA / corpus / "audio").glob("*.ogg"))
    assert files
    assert not [file.name for file in files if ogg.find_incomplete_page(str(file))]
