"""The suffixes of the files that the decoder reads. What a file really holds is decided by its content.

They are those of libsndfile's formats and of FFmpeg's formats with sound that are known by their content. Without a
header, as `.raw` and `.pcm` are, nobody knows what the samples mean. Files of `.mat`, `.htk` and `.dat` can hold sound,
but hold features and other data wherever they lie beside audio.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable

_AUDIO = """
    wav wave bwf wavex rf64 w64 aif aiff aifc afc au snd caf voc sf ircam paf fap pvf svx 8svx 16svx iff sph nist
    sds avr xi wve hcom flac ogg oga opus spx mp1 mp2 mp3 mpa mpga m2a m4a m4b m4r m4p 3ga aac adts loas ac3 eac3 ec3
    dts dtshd mlp thd truehd amr awb ape tta tak wv shn mpc mp+ mpp oma omg aa3 at3 dsf dff qcp wma xwma weba mka ra aa
    aax dss vqf qoa osq bonk aea gsm iamf wsd rso xa mmf sox
"""
_VIDEO = """
    mp4 m4v mov qt f4v f4a f4b 3gp 3gpp 3g2 3gpp2 ismv isma mj2 psp mkv mk3d webm ogv ogx ogm avi divx asf wmv flv
    mpg mpeg mpe m2p vob mod tod ts m2t m2ts mts trp mxf gxf rm rmvb ivr kux pva nut nsv nuv wtv dv dif swf
"""

AUDIO = tuple(_AUDIO.split())
"""Suffixes of sound, in lower case and without the dot."""

VIDEO = tuple(_VIDEO.split())
"""Suffixes of films, whose sound is read."""

_SUFFIXES = frozenset(f".{suffix}" for suffix in AUDIO + VIDEO)
_USUAL = re.compile(r"\.[\w+-]{1,12}", re.ASCII)


def is_audio(name: str) -> bool:
    """Returns whether a file name ends as that of audio or video does."""
    return name[name.rfind(".") :].lower() in _SUFFIXES  # splitext takes a third of the time of a walk.


def is_table(name: str) -> bool:
    """Returns whether a file name ends as that of a CSV file does."""
    return name[-4:].lower() == ".csv"


def count(names: Iterable[str]) -> Counter[str]:
    """Counts files by suffix, in lower case with the dot; "" stands for files without a usual suffix."""
    counts: Counter[str] = Counter()
    for name in names:
        suffix = os.path.splitext(name)[1].lower()
        counts[suffix if _USUAL.fullmatch(suffix) else ""] += 1
    return counts
