"""What clips a folder holds: AudioSet as people hold it, ESC-50 as it ships, or any folder of audio."""

from beam_jobs.sources.clips import LAYOUTS, Clip, Listing, SourceError, split_of
from beam_jobs.sources.listing import list_clips

__all__ = ["LAYOUTS", "Clip", "Listing", "SourceError", "list_clips", "split_of"]
