"""Decodes audio files to 16-bit mono PCM and measures the result."""

from beam_jobs.audio.decode import Decoded, Rules, decode_clip, decode_file
from beam_jobs.audio.sound import DecodeError

__all__ = ["DecodeError", "Decoded", "Rules", "decode_clip", "decode_file"]
