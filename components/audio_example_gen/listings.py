"""Lists the clips of a source. A source without any usable clip is an error."""

from collections import Counter

from absl import logging
from etils import epath

from beam_jobs import sources
from components.audio_example_gen import quarantine
from components.errors import UserError


def read(source: epath.Path, *, layout: str) -> sources.Listing:
    """Lists the clips of a source.

    Args:
        source: A folder or a CSV manifest.
        layout: One of `sources.LAYOUTS`, or "auto" to detect it.

    Raises:
        UserError: The source is malformed, lists no clip, or lists no clip that can be used.
    """
    try:
        listing = sources.list_clips(source, layout=layout)
    except sources.SourceError as error:
        raise UserError(str(error)) from error
    if not listing.clips and not listing.quarantined:
        raise UserError(f"the lists in {source} name no clip; put the official lists there")
    causes = quarantine.describe(count_quarantined(listing)) or "none"
    if not listing.clips:
        first = listing.quarantined[0]
        if listing.layout == "folder":
            raise UserError(f"no file of {source} can be used ({causes}), e.g. {first.clip.clip_id}: {first.message}")
        raise UserError(
            f"no clip of the lists in {source} can be used ({causes}), e.g. {first.clip.clip_id}: {first.message}; "
            "name the files <ytid>.wav or <ytid>_<start>.wav (AudioSet), or as the list names them"
        )
    logging.info("%s: layout %s, %d clips, quarantined: %s", source, listing.layout, len(listing.clips), causes)
    if listing.ignored:
        logging.warning("%s: left out %s", source, sources.describe(listing.ignored))
    if listing.no_labels:
        logging.warning("%s", listing.no_labels)
    return listing


def count_quarantined(listing: sources.Listing) -> Counter[str]:
    """Counts the rows that are quarantined before any audio is read, by cause."""
    return Counter(row.cause for row in listing.quarantined)
