"""What clips a source holds: AudioSet as people hold it, ESC-50 as it ships, a manifest, TFDS, or a folder of audio."""

from beam_jobs.sources.clips import LAYOUTS, Clip, Listing, Refused, SourceError, locate, split_of
from beam_jobs.sources.listing import list_clips

__all__ = ["LAYOUTS", "Clip", "Listing", "Refused", "SourceError", "list_clips", "locate", "split_of"]
