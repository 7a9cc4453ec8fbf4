"""Opens files with FFmpeg: which containers are allowed, and which of a file's tracks is its sound."""

import errno
import re
from collections.abc import Iterator, Sequence

import av
from av.stream import Disposition

from beam_jobs.audio.sound import DecodeError, Source, content_of, open_file, open_source
from beam_jobs.audio.views import View

_FORMATS = """
    aa aac aax ac3 ac4 aea aiff amr amrnb amrwb ape asf au avi bonk caf dsf dss dts dtshd dv eac3 flac flv gsm gxf hcom
    iamf iff ircam ivr kux loas matroska mlp mmf mov mp3 mpc mpc8 mpeg mpegts mxf nistsphere nsv nut nuv ogg oma osq paf
    pva qcp qoa rm rso sds shn smjpeg sol sox spdif swf tak truehd tta voc vqf w64 wav wavarc wsd wtv wv wve xa xwma
"""
FORMATS = tuple(_FORMATS.split())
"""FFmpeg's names of the formats that may be read.

Left out are those that name other files or addresses (playlists, image sequences, network sessions, devices), and those
that FFmpeg recognizes only by the name of the file, such as raw PCM: any file can be called `a.ul`. The suffixes of the
files are in `beam_jobs.sources.suffixes`.
"""

# Formats with the player's clock: each packet says when it sounds, and pauses are not stored. In the others, sound
# follows on sound.
_WITH_CLOCK = frozenset({"asf", "avi", "flv", "gxf", "kux", "matroska", "mov", "mpeg", "mpegts", "mxf", "nut", "wtv"})
# The clock of these may jump, e.g. where a broadcast was joined; players then play on.
_WITH_JUMPS = frozenset({"mpeg", "mpegts"})
# FFmpeg takes the duration of these from a header, or from the number of the last sample. It may guess that of the
# others from the bit rate.
_WITH_LENGTH = frozenset(
    {"aiff", "ape", "asf", "caf", "flac", "flv", "matroska", "mov", "ogg", "tak", "tta", "wav", "wv"}
)
# These tell the length of the longest track, or count it from the beginning of the pictures.
_WITH_LENGTH_OF_ALL = frozenset({"asf", "flv", "ogg"})
# These consist of nothing but packets. ID3 tags, which may come first, are small.
_NOTHING_BUT_PACKETS = frozenset({"aac", "ac3", "dts", "eac3"})
_EQUAL_PACKETS = frozenset({"ac3", "dts", "eac3"})
_OPTIONS = {
    "format_whitelist": ",".join(FORMATS),
    # Nothing but the file itself is ever opened.
    "protocol_whitelist": "file",
}
# Tags in old encodings are no reason to refuse the sound. PyAV 19 reads them by itself, and rejects the option.
_READ_ALL_TAGS = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
_DURATION_TAG = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)$")
# Where MP4, WAV and Matroska name the codec of their sound; Matroska says how long the name is.
_MP4_CODEC = re.compile(rb"soun(?:(?!trak).){0,4000}?stsd.{12}([ -~]{4})", re.DOTALL)
_WAV_CODEC = re.compile(rb"WAVE.{0,4000}?fmt .{4}(..)", re.DOTALL)
_MATROSKA_CODEC = re.compile(rb"\x86([\x84-\xbf])(A_[\w/.]{2,60})", re.DOTALL)


def open_container(source: Source) -> av.container.InputContainer:
    """Opens a file.

    Raises:
        DecodeError: if it is in none of the allowed formats.
        av.FFmpegError: if FFmpeg cannot open it for another reason.
    """
    opened = open_source(source)
    # With its protocol, a name with a colon is no address.
    name = f"file:{opened}" if isinstance(opened, str) else opened
    try:
        return av.open(name, container_options=_OPTIONS, **_READ_ALL_TAGS)
    except av.FFmpegError as error:
        if error.errno == errno.EINVAL:
            raise DecodeError("unreadable", "is in no known format of sound or video") from error
        raise


def check_content(source: Source) -> None:
    """Raises the errors of `open_container` for a file that FFmpeg only opens because of its suffix.

    An empty file passes: it has no content of another format.
    """
    with open_file(source) as file:
        if not file.read(1):
            return
        with open_container(View(file)):
            pass


def format_name(container: av.container.InputContainer) -> str:
    """Returns FFmpeg's name of a container's format, e.g. "matroska"."""
    return container.format.name.split(",")[0]


def start_of_clock(container: av.container.InputContainer) -> float | None:
    """Returns when the player's clock starts, in seconds; None if the packets do not say when they sound."""
    name = format_name(container)
    # Radio streams in Ogg count from their beginning, wherever a recording begins.
    has_clock = name in _WITH_CLOCK or (name == "ogg" and bool(container.streams.video))
    return (container.start_time or 0) / av.time_base if has_clock else None


def may_jump(container: av.container.InputContainer) -> bool:
    """Whether the clock may jump without a pause in the sound."""
    return format_name(container) in _WITH_JUMPS


def time_of(frame: av.AudioFrame, packet: av.Packet, container: av.container.InputContainer) -> float | None:
    """Returns when a frame sounds, in seconds; None if that is only guessed.

    MPEG gives the time of a packet with several frames. FFmpeg counts on from there, with the first rate of the track
    even where files of other rates were joined. The frames after the first have no position.
    """
    return None if may_jump(container) and packet.pos is None else frame.time


def tracks(container: av.container.InputContainer, source: Source) -> list[av.AudioStream]:
    """Returns the audio tracks that FFmpeg can decode: first the default ones, then the others, in their order.

    Args:
        container: The opened file.
        source: The file, for the error message.

    Raises:
        DecodeError: if there is none.
    """
    audio = sorted(container.streams.audio, key=lambda track: Disposition.default not in track.disposition)
    if not audio:
        raise DecodeError("unreadable", "holds no audio stream")
    known = [track for track in audio if track.codec_context is not None]
    if not known:
        name = _codec_codes(source) or "without a name"
        raise DecodeError("unreadable", f"unknown codec {name}: convert the file with the program that made it")
    return known


def packets(container: av.container.InputContainer, track: av.AudioStream) -> Iterator[av.Packet]:
    """Yields the packets of a track, and at last an empty one, for which the decoder returns what it holds back."""
    packets = container.demux(track)
    while True:
        try:
            yield next(packets)
        except StopIteration:
            return
        except IndexError:
            # PyAV ends with this error, and without its last packet, if tracks appeared on the way.
            last = av.Packet()
            last.stream = track
            yield last
            return


def is_alone(track: av.AudioStream, container: av.container.InputContainer) -> bool:
    """Whether a file holds nothing but a track, besides texts and a picture of its cover."""
    others = [other for other in container.streams if other.index != track.index]
    return not any(
        other.type == "audio" or (other.type == "video" and Disposition.attached_pic not in other.disposition)
        for other in others
    )


def promised_seconds(container: av.container.InputContainer, track: av.AudioStream) -> float | None:
    """Returns how many seconds of sound the header promises; None if it does not say.

    In a video the sound may be shorter than the pictures.
    """
    name = format_name(container)
    if name not in _WITH_LENGTH or (name in _WITH_LENGTH_OF_ALL and len(container.streams) > 1):
        return None
    if track.duration:
        return float(track.duration * track.time_base)
    start_s = max(0.0, float((track.start_time or 0) * track.time_base))
    whole_s = container.duration / av.time_base if container.duration else None
    if (end_s := _tagged_end(track.metadata)) is not None:
        # If the tag names a time after the end of the file, it was copied from a longer file.
        return min(end_s, whole_s or end_s) - start_s
    # The container's duration is that of its longest track, which need not be the sound.
    return whole_s - start_s if whole_s and len(container.streams) == 1 else None


def bytes_beside_sound(container: av.container.InputContainer, packets: Sequence[int]) -> int:
    """Returns how many bytes of a file are no sound, in a format in which they would be damage; 0 for others.

    Args:
        container: The file.
        packets: The sizes of all its packets.
    """
    name = format_name(container)
    if name not in _NOTHING_BUT_PACKETS or not packets:
        return 0
    # FFmpeg appends what it does not understand to the packet before.
    largest = 2 * sorted(packets)[len(packets) // 2] if name in _EQUAL_PACKETS else max(packets)
    return container.size - sum(min(size, largest) for size in packets)


def _tagged_end(tags: dict[str, str]) -> float | None:
    """Returns when a track of a Matroska file ends, in seconds, according to its tags.

    FFmpeg writes "DURATION". Others add a language ("DURATION-eng"), and FFmpeg copies their tags beside its own even
    when it cuts the file.
    """
    ends = {name: match for name, value in tags.items() if (match := _DURATION_TAG.match(value))}
    durations = [ends[name] for name in ends if name.startswith("DURATION-")]
    if "DURATION" in ends:
        durations = [ends["DURATION"]]
    return min((3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3]) for tag in durations), default=None)


def _codec_codes(source: Source) -> str:
    """Returns how a file names the codecs of its sound; PyAV does not tell those that FFmpeg does not know."""
    with content_of(source) as content:
        names = [code.decode() for code in _MP4_CODEC.findall(content)]
        names += [f"0x{int.from_bytes(code, 'little'):04x}" for code in _WAV_CODEC.findall(content)]
        names += [name[: size[0] & 0x7F].decode() for size, name in _MATROSKA_CODEC.findall(content)]
    return ", ".join(dict.fromkeys(names))
