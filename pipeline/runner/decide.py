"""Decides whether a stage runs, and says why in the sentence that the table shows."""

import dataclasses
import json
import time
from collections.abc import Collection, Mapping, Sequence

from beam_jobs import google_storage, storage
from pipeline import checksums, digests, listings
from pipeline.metadata.executions import Artifact, CacheKey, Execution, State
from pipeline.metadata.history import History

MAX_CHANGES = 3
"""Number of changes or modules that a sentence names."""

MAX_VALUE_LENGTH = 40
"""Number of characters of a changed value that a sentence shows."""

_UNSET = "unset"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether a stage runs, and why.

    Attributes:
        reuse: The earlier execution whose outputs are reused, or None if the stage runs.
        why: The reason.
    """

    reuse: Execution | None
    why: str


def decide(
    cache_key: CacheKey,
    *,
    code: Mapping[str, str],
    history: History,
    reports: Collection[str] = (),
    forced_by: str = "",
) -> Decision:
    """Compares the cache key of a stage with those of its earlier executions.

    Args:
        cache_key: Cache key of the stage in this run.
        code: Path of a module -> digest of the code of the stage. A change of it is said, and decides nothing.
        history: The earlier executions of the stage.
        reports: See `components.base.Component`.
        forced_by: The flag that asks for the stage to run, if any.
    """
    if forced_by:
        return Decision(reuse=None, why=forced_by)
    matching = history.last_finished(cache_key=cache_key.digest)
    if matching is not None:
        return _reuse_if_intact(matching, code=code, reports=reports)
    finished = history.last_finished()
    if finished is not None:
        why = _changes(finished.cache_key, cache_key)
        begun = history.last_that_ran(cache_key=cache_key.digest)  # It has not finished, and its work goes on.
        return Decision(reuse=None, why=f"{why}; {_unfinished(begun, cache_key, code=code)}" if begun else why)
    unfinished = history.last_that_ran()
    if unfinished is None:
        return Decision(reuse=None, why="first run")
    return Decision(reuse=None, why=_unfinished(unfinished, cache_key, code=code))


def is_intact(artifact: Artifact, *, reports: Collection[str] = ()) -> bool:
    """Returns whether a published folder still holds the files it was published with.

    Names and sizes of all files are compared, and the content: on Cloud Storage by the service's checksums, elsewhere
    that of small files; see `checksums.CHEAP_BYTES`.

    Args:
        artifact: The folder.
        reports: Names of files that may have been edited.
    """
    folder = artifact.folder
    if google_storage.is_used_for(folder):
        return _is_intact_in_bucket(artifact, reports=reports)
    if not storage.is_folder(folder):
        return False
    sizes = digests.file_sizes(folder)
    # Earlier versions counted the reports.
    listing = artifact.listing.partition(" ")[0]  # The rest describes what was on a bucket and has been copied here.
    if listing not in (digests.listing_digest(sizes, reports=reports), digests.listing_digest(sizes)):
        return False
    return checksums.altered_file(folder, sizes=sizes, budget=checksums.CHEAP_BYTES) is None


def last_intact(history: History, *, reports: Collection[str] = (), cache_key: str = "") -> Execution | None:
    """Returns the last finished execution of a stage whose outputs are all intact, or None.

    Args:
        history: The executions of the stage.
        reports: See `is_intact`.
        cache_key: Only executions with this cache key count; "" for any.
    """
    altered: set[frozenset[int | None]] = set()
    for execution in history.finished(cache_key=cache_key):
        outputs = frozenset(artifact.id for artifact in execution.outputs.values())
        if outputs in altered:  # It reused what another one wrote.
            continue
        if _changed_output(execution, reports=reports) is None:
            return execution
        altered.add(outputs)
    return None


def last_other(history: History, *, output: str, than: Artifact) -> Artifact | None:
    """Returns the last intact artifact that a stage published and whose content differs from another, or None.

    Args:
        history: The executions of the stage.
        output: Output channel of the stage.
        than: The other artifact.
    """
    return next(filter(is_intact, history.other_outputs(output, than)), None)


def differences(before: Mapping[str, object], after: Mapping[str, object], *, prefix: str = "") -> list[str]:
    """Describes what changed between two nested mappings, e.g. ["model.width 0.125 -> 0.25", "steps 3000 -> 100"].

    Args:
        before: The old values.
        after: The new values.
        prefix: Put before each key.
    """
    return [f"{prefix}{name} {old} -> {new}" for name, old, new in changed_values(before, after)]


def changed_values(before: Mapping[str, object], after: Mapping[str, object]) -> list[tuple[str, str, str]]:
    """Returns what changed between two nested mappings: name, old and new value, e.g. ("steps", "3000", "100").

    A value that a mapping lacks is "unset", in contrast to null.
    """
    changes = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changes += [(f"{key}.{name}", *values) for name, *values in changed_values(old, new)]
        elif old != new or (key in before) != (key in after):
            texts = [_shown(mapping[key]) if key in mapping else _UNSET for mapping in (before, after)]
            changes.append((key, *texts))
    return changes


def _is_intact_in_bucket(artifact: Artifact, *, reports: Collection[str]) -> bool:
    files = listings.in_bucket(artifact.folder)
    is_intact = listings.is_as_described(artifact.listing, files, reports=reports)
    if is_intact is not None:
        return is_intact
    sizes = {name: listed.bytes for name, listed in files.items()}
    return checksums.altered_file(artifact.folder, sizes=sizes, budget=checksums.CHEAP_BYTES) is None


def _changed_output(execution: Execution, *, reports: Collection[str]) -> str | None:
    """Returns the first output channel of an execution that is not intact, or None."""
    return next(
        (name for name, artifact in execution.outputs.items() if not is_intact(artifact, reports=reports)), None
    )


def _alteration(artifact: Artifact, *, reports: Collection[str]) -> str:
    """Says that a published folder is not intact, and names a file on this machine by which that can be told."""
    what, folder = "missing or altered", artifact.folder
    written = () if google_storage.is_used_for(folder) else checksums.names(folder)
    if not written:
        return what
    sizes = digests.file_sizes(folder) if storage.is_folder(folder) else {}
    altered = checksums.altered_file(folder, sizes=sizes, budget=checksums.CHEAP_BYTES)
    if altered is not None:
        return f"{what}: {altered} has other content" if altered in sizes else f"{what}: {altered} is gone"
    added = [name for name in sizes if name not in written and name not in reports]
    return f"{what}: {added[0]} was added" if added else f"{what}: a large file has another size"


def _reuse_if_intact(execution: Execution, *, code: Mapping[str, str], reports: Collection[str]) -> Decision:
    changed = _changed_output(execution, reports=reports)
    if changed is not None:
        is_removed = execution.outputs[changed].is_removed
        what = "removed by diptych gc" if is_removed else _alteration(execution.outputs[changed], reports=reports)
        return Decision(reuse=None, why=f"published {changed} {what}")
    # The outputs may be older than the execution, which may have reused them.
    published_ms = max((artifact.published_ms for artifact in execution.outputs.values()), default=execution.started_ms)
    published = time.strftime("%Y-%m-%d %H:%M", time.localtime(published_ms / 1000))
    why = f"nothing changed since {published}"
    modules = _changed_keys(execution.code, code)
    if modules:
        why = (
            f"reused from {published}; code changed since; "
            f"--force {execution.stage} to rerun ({first(modules)} changed)"
        )
    return Decision(reuse=execution, why=why)


def _unfinished(last: Execution, cache_key: CacheKey, *, code: Mapping[str, str]) -> str:
    """Says how an execution ended that has not finished, and whether its work can be continued."""
    outcome = "failed last time" if last.state == State.FAILED else "interrupted last time"
    if last.cache_key.digest != cache_key.digest:
        return f"{outcome}, and {_changes(last.cache_key, cache_key)}"
    modules = _changed_keys(last.code, code)
    return f"{outcome}; code changed since ({first(modules)} changed)" if modules else outcome


def _changes(before: CacheKey, after: CacheKey) -> str:
    """Describes what changed between two cache keys, which differ."""
    if not before.version:
        return "last run by an earlier Diptych, which recorded no versions"
    changes = []
    if before.version != after.version:
        changes.append(f"version {before.version} -> {after.version} of {after.stage}")
    changes += differences(before.libraries, after.libraries)
    changes += differences(before.config, after.config, prefix="config.")
    changes += [f"input {channel} changed" for channel in _changed_keys(before.inputs, after.inputs)]
    # The key of a model outside of the root is what names it, e.g. "yamnet=/models/yamnet".
    external = (key.extending("").external for key in (before, after))
    changes += [f"{name.partition('=')[2] or name} changed" for name in _changed_keys(*external)]
    # Else they differ only in what the first one went on from, and the second one does not find or must not use.
    return first(changes) or "the last one went on from an earlier one, which is missing, altered or not to be extended"


def first(texts: Sequence[str]) -> str:
    """Returns the first texts, e.g. "a, b, c and 2 more"."""
    sentence = ", ".join(texts[:MAX_CHANGES])
    if len(texts) > MAX_CHANGES:
        sentence += f" and {len(texts) - MAX_CHANGES} more"
    return sentence


def _changed_keys(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) <= MAX_VALUE_LENGTH:
        return text
    return f"{text[: MAX_VALUE_LENGTH - 3]}..."
