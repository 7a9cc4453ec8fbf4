"""Writes tiny corpora for tests."""

import pathlib
import struct

import av
import numpy as np
import soundfile

ODD_NAME = "-run [1] a*b? \\ %20 'q' \"p\" {x} ~$HOME #ñ\nline"
"""A legal name of a folder, with the characters that patterns, shells, URLs and markup treat differently."""


def tone(*, seconds: float = 0.5, sample_rate: int = 16000, hertz: float = 440.0, amplitude: float = 0.3) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * sample_rate)) / sample_rate)


def write_tone(path: pathlib.Path, *, sample_rate: int = 16000, **parameters) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(sample_rate=sample_rate, **parameters), sample_rate)


def write_silence(path: pathlib.Path, *, hours: float, sample_rate: int = 44100) -> str:
    """Writes a WAV file of digital silence, 16-bit mono, that takes no room on a disk, and returns its path."""
    size = 2 * round(3600 * hours * sample_rate)
    with open(path, "wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt ")
        file.write(struct.pack("<IHHIIHH", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16))
        file.write(b"data" + struct.pack("<I", size))
        file.truncate(44 + size)
    return str(path)


# Formats that libsndfile cannot write: suffix -> (codec, rate in Hz) for PyAV.
_WITH_PYAV = {"m4a": ("aac", 16000), "mp4": ("aac", 16000), "webm": ("libopus", 48000)}
FORMATS = ("wav", "flac", "ogg", "opus", "mp3", *_WITH_PYAV)


def write_format(path: pathlib.Path, **parameters) -> None:
    """Writes a tone in the format that the suffix of the path names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix[1:]
    if suffix == "opus":
        soundfile.write(path, tone(**parameters), 16000, format="OGG", subtype="OPUS")
    elif suffix not in _WITH_PYAV:
        soundfile.write(path, tone(**parameters), 16000)
    else:
        codec, rate = _WITH_PYAV[suffix]
        _write_with_pyav(path, tone(sample_rate=rate, **parameters).astype(np.float32), codec=codec, rate=rate)


def _write_with_pyav(path: pathlib.Path, wave: np.ndarray, *, codec: str, rate: int) -> None:
    # With "faststart" the index is at the beginning of the file, so that a truncated download still opens.
    options = {} if path.suffix == ".webm" else {"movflags": "faststart"}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        for start in range(0, wave.size, 960):
            frame = av.AudioFrame.from_ndarray(wave[None, start : start + 960], format="fltp", layout="mono")
            frame.sample_rate = rate
            frame.pts = start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    """Returns the content of every file below a folder, by relative name."""
    folder = pathlib.Path(folder)
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def cut_short(path: pathlib.Path, *, share: float = 0.6) -> None:
    """Truncates a file, like a download that broke off.

    Args:
        path: The file.
        share: Share of the file to keep.
    """
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * share)])


def esc50(folder: pathlib.Path, *, clips: int = 10, classes: int = 2) -> pathlib.Path:
    """Writes ESC-50's layout. The files are Ogg although the table names WAV, as in a converted copy."""
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for i in range(clips):
        target = i % classes
        fold = 1 + i % 5
        stem = f"{fold}-{1000 + i}-A-{target}"
        write_tone(folder / "audio" / f"{stem}.ogg", hertz=300.0 + 200 * target)
        rows.append(f"{stem}.wav,{fold},{target},class_{target},False,{1000 + i},A")
    (folder / "meta").mkdir()
    (folder / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")
    return folder


CLASSES = 'index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/m/05zppz,"Male speech, man speaking"\n2,/t/dd00001,"Rain"\n'
HEADER = "# Segments csv created\n# num_ytids=1\n# YTID, start_seconds, end_seconds, positive_labels\n"


def ytid(number: int) -> str:
    return f"-a_{number:08d}"


def audioset(folder: pathlib.Path, *, train: int = 6, evaluation: int = 2) -> pathlib.Path:
    """Writes AudioSet's lists, and segments of half a second named `<ytid>_<start>.wav`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "class_labels_indices.csv").write_text(CLASSES)
    for name, numbers in (("balanced_train", range(train)), ("eval", range(train, train + evaluation))):
        rows = []
        for i in numbers:
            write_tone(folder / "audio" / f"{ytid(i)}_{10 * i}.wav", hertz=200.0 + 50 * i)
            rows.append(f'{ytid(i)}, {10 * i:.3f}, {10 * i + 0.5:.3f}, "/m/09x0r,/t/dd00001"')
        (folder / f"{name}_segments.csv").write_text(HEADER + "\n".join(rows) + "\n")
    return folder
