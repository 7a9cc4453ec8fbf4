"""Tiny corpora on disk, for the tests of what reads them."""

import pathlib

import numpy as np
import soundfile


def tone(*, seconds: float = 0.5, sample_rate: int = 16000, hertz: float = 440.0, amplitude: float = 0.3) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * sample_rate)) / sample_rate)


def write_tone(path: pathlib.Path, *, sample_rate: int = 16000, **parameters) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(sample_rate=sample_rate, **parameters), sample_rate)


def esc50(folder: pathlib.Path, *, clips: int = 10, classes: int = 2) -> pathlib.Path:
    """ESC-50's layout with Ogg instead of the WAV that its table names, as a converted copy has."""
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for i in range(clips):
        target, fold = i % classes, 1 + i % 5
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
    """AudioSet's lists and half-second segments named `<ytid>_<start>.wav`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "class_labels_indices.csv").write_text(CLASSES)
    for name, numbers in (("balanced_train", range(train)), ("eval", range(train, train + evaluation))):
        rows = []
        for i in numbers:
            write_tone(folder / "audio" / f"{ytid(i)}_{10 * i}.wav", hertz=200.0 + 50 * i)
            rows.append(f'{ytid(i)}, {10 * i:.3f}, {10 * i + 0.5:.3f}, "/m/09x0r,/t/dd00001"')
        (folder / f"{name}_segments.csv").write_text(HEADER + "\n".join(rows) + "\n")
    return folder
