"""The model as its users call it: sounds in, vectors out."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from beam_jobs import audio
from beam_jobs.audio import parallel, readers
from beam_jobs.audio.decoders_of_threads import DecodersOfThreads
from beam_jobs.audio.spool import Spool
from beam_jobs.embedding import windows
from beam_jobs.embedding.embedder import BATCH_SIZE
from components.errors import UserError
from diptych import runtimes, waveforms
from diptych.errors import DiptychError, MissingError
from diptych.runtimes import Frames, Runtime
from diptych.runtimes.window_embedder import WindowEmbedder

StrPath = str | os.PathLike[str]


def load(path: StrPath) -> "Embedder":
    """Loads an exported model.

    Args:
        path: A SavedModel that the Exporter wrote or the Pusher copied, or a folder of numbered ones, of which the
            highest counts, as for a model server; one of its `.tflite` and `.onnx` files; or the name of a model that
            comes with Diptych, see `diptych.bundled`, unless there is a file or folder of that name.

    Raises:
        DiptychError: There is no such model, or it is damaged. `MissingError` if there is nothing at the path.
    """
    return Embedder(runtimes.load(path))


class Embedder:
    """A model that turns sounds into vectors. Make it with `diptych.load`.

    The vector of a sound is the mean over its windows, and does not depend on what else is embedded. Memory does not
    grow with the length of files. Several threads may use one embedder at the same time.

    Args:
        runtime: The loaded model.
    """

    def __init__(self, runtime: Runtime):
        self._runtime = runtime
        self._windows = WindowEmbedder(runtime, dims={"embedding": runtime.info.dim})
        self._decoders = DecodersOfThreads(rules=parallel.RULES)

    @property
    def sample_rate(self) -> int:
        """The sample rate that the model works at, in Hz. Sounds of any other are resampled."""
        return self._runtime.info.sample_rate

    @property
    def dim(self) -> int:
        """Size of a vector."""
        return self._runtime.info.dim

    @property
    def dims(self) -> Mapping[str, int]:
        """Name of each encoder -> size of its part of a vector, in order."""
        return dict(self._runtime.info.dims)

    @property
    def window_seconds(self) -> float:
        """Length of the windows that a sound is cut into, in seconds. Each overlaps the one before by half."""
        return self._runtime.info.crop_samples / self.sample_rate

    def embed(self, waveform: npt.ArrayLike, sample_rate: float) -> npt.NDArray[np.float32]:
        """Embeds a sound that is in memory.

        Args:
            waveform: (samples,) or (samples, channels), as `soundfile.read` returns it. Floating point with full scale
                1, or int16, int32, int8 or uint8 as in audio files.
            sample_rate: Its sample rate in Hz.

        Returns:
            float32 (dim,).

        Raises:
            DiptychError: It is not such a sound.
        """
        samples = waveforms.prepare(waveform, sample_rate, target=self.sample_rate)
        return self._mean(windows.ArraySound(samples))

    def embed_file(self, path: StrPath) -> npt.NDArray[np.float32]:
        """Embeds an audio file, or the sound of a film, of any length and common codec.

        A process of its own decodes the file, so that a broken one can neither hang nor crash this one. The process
        stays for the next file of the same thread.

        Args:
            path: The file.

        Returns:
            float32 (dim,).

        Raises:
            DiptychError: The file cannot be decoded. `MissingError` if there is none.
        """
        file = _File(0, _checked(path))
        with Spool() as spool:
            try:
                source = readers.fetch(file.path, timeout_s=parallel.RULES.timeout_s)
                self._decoders.get(self.sample_rate).decode_file(source, spool)
            except audio.DecodeError as error:
                raise _error(file, error) from error
            return self._mean(spool)

    def embed_files(
        self,
        paths: Iterable[StrPath],
        *,
        batch: int = BATCH_SIZE,
        on_error: Callable[[str, DiptychError], object] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Embeds audio files. Several processes decode them ahead of the model.

        Args:
            paths: The files; see `embed_file`.
            batch: Windows, of one file or several, that the model gets at a time. 8 is fast on CPUs; GPUs need more.
            on_error: Called with the path and the error of each file that cannot be decoded, whose row then is NaN.
                None raises the first error. For example `failed.__setitem__` of a dict `failed`.

        Returns:
            float32 (files, dim), in the order of the paths.

        Raises:
            DiptychError: See `embed_file`; or a batch does not fit into memory.
        """
        if isinstance(paths, str | bytes | os.PathLike):
            raise DiptychError(f"paths is one path, {paths!r}: give a list, or call `embed_file`.")
        if not isinstance(paths, Iterable):
            raise DiptychError(f"paths is given as {type(paths).__name__}: give a list of files.")
        if isinstance(batch, bool) or not isinstance(batch, int | np.integer) or batch < 1:
            raise DiptychError(f"batch is {batch!r}: give a number of windows, at least 1.")
        files = [_File(row, _checked(path)) for row, path in enumerate(paths)]
        vectors = np.full((len(files), self.dim), np.nan, np.float32)
        with parallel.Decoders(sample_rate=self.sample_rate) as decoders:
            sounds = _decoded(decoders, files, on_error=on_error)
            pieces = windows.embed(sounds, self._windows, batch_size=int(batch))
            try:
                for piece in windows.clip_means(pieces):
                    vectors[piece.key] = piece.vectors["embedding"][0]
            except windows.BatchMemoryError as error:
                raise DiptychError(f"batch is {batch}, but {error}: give a smaller number.") from error
        return vectors

    def frames(self, waveform: npt.ArrayLike, sample_rate: float) -> Frames:
        """Embeds a sound over time, e.g. to find events in it.

        Args:
            waveform: See `embed`.
            sample_rate: See `embed`.

        Returns:
            `embedding` float32 (frames, dim) and `timestamps` float32 (frames,) in seconds.

        Raises:
            DiptychError: It is not such a sound, or the model was exported without this function.
        """
        samples = waveforms.prepare(waveform, sample_rate, target=self.sample_rate)
        try:
            embedding, timestamps = self._runtime.frames(samples[None])
        except UserError as error:
            raise DiptychError(str(error)) from error
        return Frames(embedding[0], timestamps[0])

    def _mean(self, sound: windows.Sound) -> npt.NDArray[np.float32]:
        (mean,) = windows.clip_means(windows.embed([(None, sound)], self._windows, batch_size=BATCH_SIZE))
        return mean.vectors["embedding"][0]


@dataclasses.dataclass(frozen=True)
class _File:
    """A file to decode as a whole, and the number of its row; see `parallel.Recorded`."""

    row: int
    path: str
    start_s: float | None = None
    end_s: float | None = None
    trimmed: bool | None = None


def _decoded(
    decoders: parallel.Decoders, files: Iterable[_File], *, on_error: Callable[[str, DiptychError], object] | None
) -> Iterator[tuple[int, Spool]]:
    """Yields the row and the sound of each file that can be decoded."""
    for file, sound in decoders.decode(files):
        if isinstance(sound, Spool):
            yield file.row, sound
        elif on_error is None:
            raise _error(file, sound) from sound
        else:
            on_error(file.path, _error(file, sound))


def _checked(path: StrPath) -> str:
    if not isinstance(path, str | os.PathLike):
        raise DiptychError(f"A file is given as {type(path).__name__}: give its path; `embed` takes samples.")
    return os.fsdecode(path)


def _error(file: _File, error: audio.DecodeError) -> DiptychError:
    kind = MissingError if error.cause == "missing" else DiptychError
    return kind(f"{file.path or repr(file.path)} cannot be embedded: {error}.")
