"""The suffixes by which audio is found, against what libsndfile and FFmpeg write and the decoder reads."""

import contextlib
import itertools
import os
import pathlib

import av
import numpy as np
import soundfile

from beam_jobs import audio, sources
from beam_jobs.audio import containers
from beam_jobs.sources import given, suffixes
from tests.beam_jobs.sources.folders import read_by_both

PAGE = pathlib.Path(__file__).parents[3] / "components" / "audio_example_gen" / "README.md"

# Suffix -> FFmpeg's format and encoder, for what soundfile does not write.
BY_FFMPEG = {
    "mp2": ("mp2", "mp2"), "m4a": ("ipod", "aac"), "m4b": ("ipod", "aac"), "m4v": ("mp4", "aac"), "mp4": ("mp4", "aac"),
    "mov": ("mov", "pcm_s16le"), "3gp": ("3gp", "aac"), "3g2": ("3g2", "aac"), "f4v": ("f4v", "aac"),
    "avi": ("avi", "pcm_s16le"), "wmv": ("asf", "wmav2"), "wma": ("asf", "wmav2"), "flv": ("flv", "aac"),
    "mka": ("matroska", "libopus"), "mkv": ("matroska", "aac"), "webm": ("webm", "libopus"),
    "weba": ("webm", "libopus"), "ts": ("mpegts", "aac"), "m2ts": ("mpegts", "ac3"), "mpg": ("mpeg", "mp2"),
    "vob": ("vob", "ac3"),
    "aac": ("adts", "aac"), "ac3": ("ac3", "ac3"), "eac3": ("eac3", "eac3"), "dts": ("dts", "dca"),
    "tta": ("tta", "tta"), "wv": ("wv", "wavpack"), "nut": ("nut", "pcm_s16le"), "oga": ("oga", "libopus"),
    "ogv": ("ogv", "libopus"), "spx": ("ogg", "libspeex"), "mpga": ("mp3", "libmp3lame"),
    "amr": ("amr", "libopencore_amrnb"),
}  # fmt: skip
BY_SNDFILE = {
    "wav": "WAV", "wave": "WAV", "bwf": "WAV", "rf64": "RF64", "w64": "W64", "aif": "AIFF", "aiff": "AIFF",
    "aifc": "AIFF", "au": "AU", "snd": "AU", "caf": "CAF", "voc": "VOC", "sf": "IRCAM", "ircam": "IRCAM", "paf": "PAF",
    "pvf": "PVF", "svx": "SVX", "iff": "SVX", "sph": "NIST", "nist": "NIST", "avr": "AVR", "flac": "FLAC",
    "ogg": "OGG", "opus": "OGG", "mp3": "MP3",
}  # fmt: skip

# Format -> suffixes that are usual for it, although neither FFmpeg nor libsndfile lists them.
UNLISTED = {
    "wav": "wave bwf",
    "au": "snd",
    "paf": "fap",
    "svx": "8svx 16svx",
    "ogg": "oga ogv ogx ogm opus spx",
    "mp3": "mp1 mpga",
    "mov": "m4v m4r m4p 3ga 3gpp 3gpp2 qt f4a f4b",
    "aac": "adts",
    "amr": "awb",
    "mpc": "mp+ mpp",
    "oma": "at3",
    "iff": "dff",
    "matroska": "weba",
    "avi": "divx",
    "mpeg": "mpe m2p vob mod tod",
    "mpegts": "trp",
    "rm": "rmvb",
}
# Not searched: names of formats that no file has as its suffix, suffixes of files that are usually
# pictures, text or numbers, and formats for which FFmpeg has no decoder.
NOT_SEARCHED = """
    amrnb amrwb matroska mpc8 mpegts nistsphere smjpeg spdif wavarc
    apl avif heic heif htk ism mac mat4 mat5 mjpg mks mpc2k raw sd2 sol vqe vql wa
    ac4
"""


def listed_suffixes():
    """Returns the suffixes that FFmpeg and libsndfile list for the formats that are read, and the formats' names."""
    found = {name.lower() for name in soundfile.available_formats()} | set(containers.FORMATS)
    for name, mode in itertools.product(av.formats_available, "rw"):
        with contextlib.suppress(ValueError):  # Some formats are only read, others only written.
            container_format = av.format.ContainerFormat(name, mode)
            if set(container_format.name.split(",")) & set(containers.FORMATS):
                found |= container_format.extensions
    return found


def write(path, noise):
    """Writes noise at 16 kHz in the format that is usual for the suffix. False: there is no encoder for it here."""
    suffix = path.suffix[1:]
    if suffix in BY_SNDFILE:
        soundfile.write(path, noise, 16000, format=BY_SNDFILE[suffix], subtype="OPUS" if suffix == "opus" else None)
        return True
    container_format, codec = BY_FFMPEG[suffix]
    try:
        av.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    rate = {"dca": 48000, "libopus": 48000, "ac3": 48000, "eac3": 48000, "wmav2": 44100, "libopencore_amrnb": 8000}.get(
        codec, 16000
    )
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono", options={"strict": "experimental"})
        if codec == "wmav2":
            stream.bit_rate = 64000
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate, frame_size=stream.frame_size)
        frame = av.AudioFrame.from_ndarray((noise * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate = 16000
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return True


def test_files_of_every_common_format_are_found_and_decoded(tmp_path):
    noise = np.random.default_rng(0).uniform(-0.4, 0.4, 16000)
    names = [f"{name}.{suffix}" for name, suffix in enumerate((*BY_SNDFILE, *BY_FFMPEG))]
    written = [name for name in names if write(tmp_path / name, noise)]
    assert len(written) >= len(names) - 4
    for name in set(names) - set(written):
        (tmp_path / name).unlink(missing_ok=True)
    assert read_by_both(tmp_path) == sorted(written)
    lengths = {name: len(audio.decode_file(tmp_path / name)) for name in written}
    assert all(15000 <= length <= 18500 for length in lengths.values()), lengths


def test_the_suffixes_are_those_of_the_formats_that_are_read():
    listed, unlisted = listed_suffixes(), set(" ".join(UNLISTED.values()).split())
    assert set(UNLISTED) <= listed
    assert set(suffixes.AUDIO + suffixes.VIDEO) <= listed | unlisted
    assert listed - set(suffixes.AUDIO + suffixes.VIDEO) <= set(NOT_SEARCHED.split())


def test_a_relative_name_with_a_colon_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).uniform(-0.4, 0.4, 16000)
    for name in ("a.m4a", "b.wav"):
        write(tmp_path / name, noise)
    os.rename("a.m4a", "2024-05-01T12:30:05.m4a")
    os.rename("b.wav", "concat:b.wav")
    for clip in sources.list_clips(".").clips:
        assert len(audio.decode_file(sources.locate(".", clip.path))) >= 16000
    for file in given.find(["."]).files:
        assert len(audio.decode_file(file)) >= 16000


def test_no_suffix_is_that_of_other_data():
    everything = suffixes.AUDIO + suffixes.VIDEO
    assert len(set(everything)) == len(everything)
    # They hold images, text, numbers or samples without a header.
    assert not set(everything) & {
        "csv",
        "gif",
        "jpg",
        "txt",
        "json",
        "mat",
        "npz",
        "raw",
        "pcm",
        "bin",
        "dat",
        "srt",
    }


def test_the_documentation_names_all_suffixes():
    page = " ".join(PAGE.read_text().split())
    assert f"`{' '.join(suffixes.AUDIO)}`" in page
    assert f"`{' '.join(suffixes.VIDEO)}`" in page
