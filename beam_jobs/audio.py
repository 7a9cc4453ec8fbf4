"""Any audio file to 16-bit mono: libsndfile first, FFmpeg (PyAV) for what that cannot open, soxr to resample."""

import io
import os

import numpy as np
from etils import epath


class DecodeError(Exception):
    """A file that cannot be used.

    Attributes:
        cause: "missing", "unreadable", "empty" or "non-finite", to count by.
    """

    def __init__(self, cause: str, message: str):
        super().__init__(message)
        self.cause = cause


def decode(
    path: epath.PathLike,
    *,
    sample_rate: int = 16000,
    start_s: float | None = None,
    end_s: float | None = None,
) -> np.ndarray:
    """Decodes a file, or a segment of it.

    Channels are averaged, resampling is soxr's HQ, values beyond the 16-bit range saturate.

    Args:
        path: Local, or anything `epath` opens (gs://).
        sample_rate: To resample to, in Hz.
        start_s: Where the segment begins, in seconds; None for the beginning.
        end_s: Where it ends; None for the end of the file. A file that ends sooner gives what there is.

    Returns:
        int16 (samples,), at least one.

    Raises:
        DecodeError: if the file is missing, unreadable, has no sample in the segment, or holds NaN or infinity.
    """
    samples, rate = _read(epath.Path(path), start_s=start_s or 0.0, end_s=end_s)
    if not samples.size:
        raise DecodeError("empty", "no sample" if start_s is None else f"no sample after {start_s:g} s")
    mono = samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0]
    if not np.isfinite(mono).all():
        raise DecodeError("non-finite", "holds NaN or infinite samples")
    if rate != sample_rate:
        import soxr

        mono = soxr.resample(mono, rate, sample_rate, quality="HQ")
        if not mono.size:
            raise DecodeError("empty", "no sample left after resampling")
    return np.clip(np.rint(mono * 32768.0), -32768, 32767).astype(np.int16)


def duration_s(path: epath.PathLike) -> float:
    """Length of a file in seconds, from its header; infinity where the header does not tell.

    Raises:
        DecodeError: if it is missing or unreadable.
    """
    import soundfile

    file = epath.Path(path)
    try:
        return soundfile.info(_local_or_bytes(file)).duration
    except soundfile.SoundFileError:
        pass
    import av

    try:
        with av.open(_local_or_bytes(file)) as container:
            return float("inf") if container.duration is None else container.duration / av.time_base
    except (av.FFmpegError, ValueError) as error:
        raise DecodeError("unreadable", str(error)) from error


def _read(path: epath.Path, *, start_s: float, end_s: float | None) -> tuple[np.ndarray, int]:
    """float32 (samples, channels) and the rate in Hz."""
    import soundfile

    try:
        with soundfile.SoundFile(_local_or_bytes(path)) as file:
            start = min(round(start_s * file.samplerate), file.frames)
            file.seek(start)
            frames = -1 if end_s is None else max(0, round(end_s * file.samplerate) - start)
            return file.read(frames, dtype="float32", always_2d=True), file.samplerate
    except (soundfile.SoundFileError, RuntimeError) as error:
        refused = getattr(error, "error_string", str(error))  # without the path, which the caller knows
    return _read_av(path, start_s=start_s, end_s=end_s, refused=refused)


def _read_av(path: epath.Path, *, start_s: float, end_s: float | None, refused: str) -> tuple[np.ndarray, int]:
    import av

    try:
        with av.open(_local_or_bytes(path)) as container:
            if not container.streams.audio:
                raise DecodeError("unreadable", "holds no audio stream")
            to_float = av.AudioResampler(format="fltp")
            blocks, rate = [], container.streams.audio[0].rate
            for frame in container.decode(audio=0):
                blocks += [block.to_ndarray() for block in to_float.resample(frame)]
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise DecodeError("unreadable", f"{refused} / {getattr(error, 'strerror', error)}") from error
    if not blocks:
        raise DecodeError("empty", "no sample")
    samples = np.concatenate(blocks, axis=1).T
    return samples[round(start_s * rate) : None if end_s is None else round(end_s * rate)], rate


def _local_or_bytes(path: epath.Path) -> str | io.BytesIO:
    """What the decoders open: a local path as it is, a remote file as its bytes."""
    name = os.fspath(path)
    try:
        if "://" not in name:
            with open(name, "rb"):
                return name
        return io.BytesIO(path.read_bytes())
    except FileNotFoundError as error:
        raise DecodeError("missing", "no such file") from error
    except OSError as error:
        raise DecodeError("unreadable", str(error)) from error
