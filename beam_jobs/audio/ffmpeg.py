"""Reads audio files with FFmpeg (PyAV): M4A, MP4, WebM and whatever else libsndfile cannot read."""

import contextlib
import dataclasses

import av
import numpy as np

from beam_jobs.audio import checks, containers, lead, mp4, splitting
from beam_jobs.audio.lead import Beginning, Lead
from beam_jobs.audio.losses import Losses
from beam_jobs.audio.sound import DecodeError, Segment, Sound, Source, to_mono
from beam_jobs.audio.timeline import Timeline
from beam_jobs.audio.zeros import Packets

# FFmpeg's own decoders of AMR do not know the frames that telephones send instead of silence.
_OTHER_DECODERS = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb"}
# With more planes, one for each channel, PyAV reads beyond the end of their list.
_MOST_PLANES = 7
# Their packets have checksums, which FFmpeg's decoders pass over by default.
_WITH_CHECKSUMS = frozenset({"tta", "wavpack"})


@dataclasses.dataclass(kw_only=True)
class _Decoded:
    """What FFmpeg decodes of a track, from its beginning or from a little before a segment.

    Attributes:
        codec: FFmpeg's names of the container and the codec, e.g. "matroska/opus".
        promised_s: How many seconds of audio the header promises; None if there is no reliable promise.
        timeline: The sound.
        losses: What of it is damaged.
        beginning: If what comes long before the segment was passed over, what is known of it.
        zeros: How many bytes are zeros instead of sound.
        broke_off: Whether an error of the container ended it.
    """

    codec: str
    promised_s: float | None
    timeline: Timeline
    losses: Losses
    beginning: Beginning | None
    zeros: int = 0
    broke_off: bool = False

    @property
    def begin_s(self) -> float:
        """When the track begins on the player's clock, in seconds."""
        return self.timeline.begin_s if self.beginning is None else self.beginning.begin_s


def read(source: Source, segment: Segment, *, sndfile_error: str, loudest: bool) -> Sound:
    """Reads a segment of a file. Its times are those of the player's clock; a whole file starts with its sound.

    Args:
        source: The file.
        segment: What to read of it.
        sndfile_error: Why libsndfile cannot read the file, for the error message.
        loudest: Whether to return the loudest channel's magnitude at each time, instead of the mean of the channels.

    Raises:
        DecodeError: if FFmpeg cannot read the file either, the file holds no audio, it ends well before its header
            says, a part of it is damaged, or its sample rate is impossible.
    """
    try:
        decoded = _decode(source, segment, loudest=loudest)
        if not decoded.timeline:
            containers.check_content(source)
    except (av.FFmpegError, DecodeError, ValueError) as error:
        if mp4.lacks_index(source):
            what = "breaks off before its index is whole, without which it cannot be read"
            raise DecodeError("truncated", what) from error
        if isinstance(error, DecodeError):
            raise
        raise _unreadable(sndfile_error, error) from error
    timeline = decoded.timeline
    _check_damage(decoded, needed_s=segment.needed_s, sndfile_error=sndfile_error)
    samples, rate = timeline.samples()
    checks.check_rate(rate)
    start_s, end_s = segment.bounds(max(timeline.end_s, decoded.begin_s + (decoded.promised_s or 0.0)))
    if segment == Segment():
        start_s = timeline.begin_s
    start, stop = (round((time_s - timeline.begin_s) * rate) for time_s in (start_s, end_s))
    part = _cut(samples, start=start, stop=stop)
    checks.check_length(part.size / rate, promised_s=end_s - start_s)
    if end_s >= timeline.end_s:
        _check_end(source, decoded.codec, seconds=timeline.end_s, rate=rate)
    return Sound(samples=part, rate=rate, codec=decoded.codec, start_s=start_s)


def count_samples(source: Source) -> float:
    """Returns how many samples the packets of a file hold, without decoding them; 0 if FFmpeg cannot tell."""
    try:
        with containers.open_container(source) as container:
            stream = container.streams.audio[0]
            ticks = sum(packet.duration or 0 for packet in container.demux(stream))
            return float(ticks * stream.time_base * stream.rate)
    except (av.FFmpegError, DecodeError, IndexError):
        return 0.0


def _check_damage(decoded: _Decoded, *, needed_s: float, sndfile_error: str) -> None:
    losses = decoded.losses
    if not decoded.timeline:
        if losses.error:
            raise _unreadable(sndfile_error, losses.error)
        checks.check_length(0.0, promised_s=decoded.promised_s or 0.0)
        raise DecodeError("too short", "no sample")
    if losses.inside_s > checks.CODEC_SLACK_S:
        raise DecodeError("truncated", f"{losses.inside_s:.2f} s in the middle of it are damaged")
    if decoded.zeros:
        raise DecodeError("truncated", f"{decoded.zeros:,} bytes of it are zeros instead of sound")
    if decoded.broke_off and decoded.promised_s is None and decoded.timeline.end_s < needed_s:
        raise _unreadable(sndfile_error, losses.error)


def _check_end(source: Source, codec: str, *, seconds: float, rate: int) -> None:
    """Raises DecodeError for a file that was cut short, where its header promises no number of seconds."""
    if codec.startswith("ogg/"):
        checks.check_end_of_ogg(source, seconds=seconds, granule_rate=rate)
    elif codec.startswith("mov/") and mp4.ends_inside_a_fragment(source):
        raise DecodeError("truncated", f"breaks off after {seconds:.2f} s, inside a fragment")
    elif codec.startswith(("asf/", "avi/")):
        missing_s = seconds * splitting.missing_share(source)
        checks.check_length(seconds, promised_s=seconds + missing_s)


def _cut(samples: np.ndarray, *, start: int, stop: int) -> np.ndarray:
    """Returns a part of the sound. Before its beginning, where the numbers are negative, it is silent."""
    part = samples[max(0, start) : max(0, stop)]
    silence = max(0, min(0, stop) - start)
    return np.concatenate([np.zeros(silence, np.float32), part]) if silence else part


def _decode(source: Source, segment: Segment, *, loudest: bool) -> _Decoded:
    """Decodes the first audio track that holds sound until all that the segment needs is there or it ends."""
    from_s = lead.decoded_from(segment)
    if from_s is not None and (decoded := _decode_late(source, segment, from_s=from_s, loudest=loudest)):
        return decoded
    index = 0
    while True:
        decoded, tracks = _decode_nth(index, source, segment, loudest=loudest)
        index += 1
        if decoded.timeline or index == tracks:
            return decoded


def _decode_late(source: Source, segment: Segment, *, from_s: float, loudest: bool) -> _Decoded | None:
    """Decodes the first audio track from a little before a segment; None if that might not give the same."""
    with containers.open_container(source) as container:
        has_clock = containers.format_name(container) in lead.FORMATS
        promised_s = containers.promised_seconds(container, containers.tracks(container, source)[0])
    if not has_clock or (promised_s is not None and promised_s < from_s):  # It may have been trimmed to the segment.
        return None
    probe, _ = _decode_nth(0, source, lead.PROBE, loudest=loudest)
    if not probe.timeline or probe.losses.error:
        return None
    beginning = Beginning(until_s=from_s, begin_s=probe.begin_s, ahead_s=probe.timeline.ahead_s)
    with contextlib.suppress(lead.UncertainClockError):
        decoded, _ = _decode_nth(0, source, segment, loudest=loudest, beginning=beginning)
        if decoded.timeline and decoded.timeline.begin_s < segment.start_s and not decoded.losses.error:
            return decoded
    return None


def _decode_nth(
    index: int, source: Source, segment: Segment, *, loudest: bool, beginning: Beginning | None = None
) -> tuple[_Decoded, int]:
    """Decodes one of the audio tracks, and returns how many there are."""
    with containers.open_container(source) as container:
        tracks = containers.tracks(container, source)
        name = tracks[index].codec_context.name
        decoded = _decode_track(container, tracks[index], segment, source=source, loudest=loudest, beginning=beginning)
    if name in _OTHER_DECODERS and isinstance(decoded.losses.error, av.error.PatchWelcomeError):
        with containers.open_container(source) as container:
            track = containers.tracks(container, source)[index]
            decoder = _other_decoder(track)
            decoded = _decode_track(
                container, track, segment, source=source, loudest=loudest, beginning=beginning, decoder=decoder
            )
    return decoded, len(tracks)


def _other_decoder(track: av.AudioStream) -> av.AudioCodecContext:
    decoder = av.CodecContext.create(_OTHER_DECODERS[track.codec_context.name], "r")
    decoder.sample_rate, decoder.layout = track.rate, track.layout
    return decoder


def _decode_track(
    container: av.container.InputContainer,
    track: av.AudioStream,
    segment: Segment,
    *,
    source: Source,
    loudest: bool,
    beginning: Beginning | None,
    decoder: av.AudioCodecContext | None = None,
) -> _Decoded:
    codec = track.codec_context.name
    start_s = containers.start_of_clock(container)
    before = None
    if beginning is not None:
        start_s -= beginning.ahead_s
        before = Lead(track, start_s=start_s, until_s=beginning.until_s)
    if codec in _WITH_CHECKSUMS:
        track.codec_context.options = {"err_detect": "crccheck+explode"}
    decoded = _Decoded(
        codec=f"{containers.format_name(container)}/{codec}",
        promised_s=containers.promised_seconds(container, track),
        timeline=Timeline(
            start_s=start_s,
            may_jump=containers.may_jump(container),
            collected=segment.collect(),
        ),
        losses=Losses(
            track,
            is_alone=containers.is_alone(track, container),
            is_resumed=containers.format_name(container) == "matroska",
        ),
        beginning=beginning,
    )
    packets = Packets(track, container)
    is_all = _fill(decoded, container, track, segment, before=before, packets=packets, loudest=loudest, decoder=decoder)
    has_length = decoded.promised_s is not None
    decoded.zeros = packets.count_zeros(source, seconds=decoded.timeline.sound_s, is_all=is_all, has_length=has_length)
    if is_all and not has_length:
        decoded.promised_s = _seconds_with_missing(container, decoded)
    return decoded


def _fill(
    decoded: _Decoded,
    container: av.container.InputContainer,
    track: av.AudioStream,
    segment: Segment,
    *,
    before: Lead | None,
    packets: Packets,
    loudest: bool,
    decoder: av.AudioCodecContext | None,
) -> bool:
    """Decodes a track until all that the segment needs is there, or it ends. Returns whether it ended."""
    timeline, losses = decoded.timeline, decoded.losses
    to_float = _Converter()
    try:
        for packet in containers.packets(container, track):
            if before and before.passes_over(packet):
                continue
            pauses_s = timeline.pauses_s
            packets.add(packet)
            try:
                for frame in decoder.decode(packet) if decoder else packet.decode():
                    time_s = containers.time_of(frame, packet, container)
                    for block in to_float(frame):
                        samples = to_mono(block, channel_axis=0, loudest=loudest)
                        timeline.add(samples, rate=frame.rate, time_s=time_s, until_s=segment.needed_s)
            except (av.FFmpegError, ValueError) as error:
                losses.add_error(packet, error)
                continue
            losses.add_sound(packet, pause_s=timeline.pauses_s - pauses_s, seconds=timeline.sound_s)
            if timeline.end_s > segment.needed_s:
                return False
    except av.FFmpegError as error:
        losses.error = losses.error or error
        decoded.broke_off = True
    return True


def _seconds_with_missing(container: av.container.InputContainer, decoded: _Decoded) -> float | None:
    """Returns how much sound there should be, where the header does not say; None if nothing seems to be missing."""
    timeline, losses = decoded.timeline, decoded.losses
    if not losses.sizes:
        return None
    # What is no sound, at the end or, in a format that holds nothing else, anywhere.
    other_bytes = containers.bytes_beside_sound(container, losses.sizes)
    missed_s = losses.at_end_s + timeline.sound_s * other_bytes / max(1, sum(losses.sizes))
    return timeline.end_s - decoded.begin_s + missed_s if missed_s else None


class _Converter:
    """Converts frames to float32 (channels, samples). Those of joined files may differ in form."""

    def __init__(self):
        self._resamplers: dict[tuple[str, str, int], av.AudioResampler] = {}

    def __call__(self, frame: av.AudioFrame) -> list[np.ndarray]:
        form = (frame.format.name, frame.layout.name, frame.rate)
        channels = frame.layout.nb_channels
        is_packed = channels > _MOST_PLANES
        if form not in self._resamplers:
            self._resamplers[form] = av.AudioResampler(format="flt" if is_packed else "fltp")
        blocks = [block.to_ndarray() for block in self._resamplers[form].resample(frame)]
        return [block.reshape(-1, channels).T for block in blocks] if is_packed else blocks


def _unreadable(sndfile_error: str, error: Exception) -> DecodeError:
    return DecodeError("unreadable", f"{sndfile_error} / {getattr(error, 'strerror', None) or error}")
