"""Lists the clips of a source: AudioSet, ESC-50, a CSV manifest, a TFDS dataset or a folder of audio.

Importing this package imports neither TensorFlow nor TFDS. `tfds_source` and `tfds_reader` import both; the listing
imports the former when it meets a TFDS dataset, and the ingest job imports the latter.
"""

from beam_jobs.sources.clips import LAYOUTS, Clip, Listing, Quarantined, SourceError, describe, locate
from beam_jobs.sources.listing import TFDS_FILES, is_tfds_dataset, list_clips
from beam_jobs.sources.splits import split_of

__all__ = [
    "LAYOUTS",
    "TFDS_FILES",
    "Clip",
    "Listing",
    "Quarantined",
    "SourceError",
    "describe",
    "is_tfds_dataset",
    "list_clips",
    "locate",
    "split_of",
]
