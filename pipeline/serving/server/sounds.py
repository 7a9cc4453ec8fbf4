"""Decodes recordings of any common codec, and makes what the page shows of them."""

import asyncio
import concurrent.futures
import io
import wave
from collections.abc import Callable

import numpy as np

from beam_jobs import audio
from beam_jobs.audio import readers
from beam_jobs.audio.decoders_of_threads import DecodersOfThreads
from beam_jobs.audio.log_mel import log_mel
from beam_jobs.audio.sound import Source
from beam_jobs.audio.spool import SAMPLE_BYTES, Spool
from pipeline.serving.server.limits import Refused

_PROCESSES = 2
_DECODER_BYTES = 2**31
_RULES = audio.Rules(timeout_s=30.0)
_PLAYED_S = 30.0
_BLOCK_S = 10.0
_SHOWN_NEPERS = 8 * np.log(10.0)  # 80 dB


class Sounds:
    """Decodes in processes of their own, so that a recording that makes the decoder hang or crash costs only itself.

    Args:
        seconds: The most sound that is decoded of what a caller sends.
    """

    def __init__(self, *, seconds: float):
        self._seconds = seconds
        self._threads = concurrent.futures.ThreadPoolExecutor(_PROCESSES, thread_name_prefix="decode")
        self._decoders = DecodersOfThreads(rules=_RULES, memory_bytes=_DECODER_BYTES)

    async def decode(self, content: bytes, *, sample_rate: int) -> np.ndarray:
        """Decodes what a caller sends.

        Args:
            content: The content of an audio file.
            sample_rate: Rate to resample to, in Hz.

        Returns:
            int16 (samples,), mono.

        Raises:
            Refused: It cannot be decoded, or is too long.
        """
        # A little more than allowed tells whether there is more.
        try:
            samples = await self._run(lambda: content, sample_rate=sample_rate, start_s=0.0, end_s=self._seconds + 1.0)
        except audio.DecodeError as error:
            raise _refused(error, why=f"{error.cause}: {error}") from error
        if samples.size > self._seconds * sample_rate:
            raise Refused(413, f"The recording is longer than {self._seconds:g} s: send a part of it.", reason="length")
        return samples

    async def listed(self, path: str, *, start_s: float, end_s: float, sample_rate: int) -> bytes:
        """Returns a part of a file that the embeddings list, at most 30 s, as WAV.

        Raises:
            Refused: The file is not there, or cannot be decoded.
        """
        end_s = min(end_s, start_s + _PLAYED_S)
        try:
            samples = await self._run(
                lambda: readers.fetch(path, timeout_s=_RULES.timeout_s),
                sample_rate=sample_rate,
                start_s=start_s,
                end_s=end_s,
            )
        except audio.DecodeError as error:
            # Its message may name the folder on this machine.
            raise _refused(error, why=error.cause) from error
        return wav(samples, rate=sample_rate)

    def close(self) -> None:
        """Ends the processes."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._decoders.close()

    async def _run(self, fetch: Callable[[], Source], *, sample_rate: int, start_s: float, end_s: float) -> np.ndarray:
        """Fetches and decodes a sound in a thread, because a bucket may take its time."""

        def decode() -> np.ndarray:
            source = fetch()
            # In memory, because what callers send goes to no disk.
            room = round((end_s - start_s + 1.0) * sample_rate) * SAMPLE_BYTES
            with Spool(bytes_in_memory=room) as spool:
                decoder = self._decoders.get(sample_rate)  # Versions of a model may differ in the rate.
                decoder.decode_file(source, spool, start_s=start_s, end_s=end_s, trimmed=False)
                return spool.read(0, len(spool))

        return await asyncio.get_running_loop().run_in_executor(self._threads, decode)


def wav(samples: np.ndarray, *, rate: int) -> bytes:
    """Returns int16 (samples,) as the content of a WAV file."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(SAMPLE_BYTES)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2", copy=False).tobytes())
    return content.getvalue()


def picture(samples: np.ndarray, *, rate: int, columns: int) -> np.ndarray:
    """Returns the log-mel spectrogram of a sound, of which the loudest 80 dB count.

    Args:
        samples: int16 (samples,).
        rate: In Hz.
        columns: The most columns; a longer sound is averaged.

    Returns:
        uint8 (bands, columns), the lowest band first; 255 is the loudest.
    """
    block = round(_BLOCK_S * rate)
    frames = np.concatenate(
        [log_mel(samples[start : start + block], sample_rate=rate) for start in range(0, samples.size, block)]
    )
    if len(frames) > columns:
        edges = np.linspace(0, len(frames), columns + 1).astype(int)
        frames = np.add.reduceat(frames, edges[:-1]) / np.diff(edges)[:, None]
    loudness = 1 + (frames - frames.max()) / _SHOWN_NEPERS
    return np.round(255 * np.clip(loudness, 0, 1)).astype(np.uint8).T


def _refused(error: audio.DecodeError, *, why: str) -> Refused:
    status = 404 if error.cause == "missing" else 422
    return Refused(status, f"The recording cannot be decoded: {why}.", reason="undecodable")
