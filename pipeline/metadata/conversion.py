"""Converts artifacts and executions to records and back."""

import json
import os

from etils import epath

from beam_jobs import storage
from pipeline.metadata.executions import Artifact, CacheKey, Execution, State
from pipeline.metadata.records import Record, plain

# Values of ML Metadata's `Artifact.State`.
LIVE = 2
DELETED = 4

CACHE_KEY = "cache_key"
"""Name of the property with the digest of an execution's cache key."""

# Names of properties. Stores that exist have them, so they cannot change.
_DIGEST = "fingerprint"
_LISTING = "listing"
_FIGURE_PREFIX = "figure."


def artifact_record(artifact: Artifact, *, root: epath.Path) -> Record:
    """Returns an artifact as a record. Its URI is relative to the root, so that the root can be moved."""
    prefix = f"{os.fspath(root)}/"
    return Record(
        type=artifact.type,
        id=artifact.id,
        state=DELETED if artifact.is_removed else LIVE,
        uri=artifact.uri.removeprefix(prefix),
        properties={_DIGEST: artifact.digest, _LISTING: artifact.listing},
    )


def artifact(record: Record, *, root: epath.Path) -> Artifact:
    """Returns the artifact that a record stands for, whose URI is absolute."""
    return Artifact(
        type=record.type,
        uri=_absolute(record.uri, root=root),
        digest=str(record.properties.get(_DIGEST, "")),
        listing=str(record.properties.get(_LISTING, "")),
        is_removed=record.state == DELETED,
        id=record.id,
        published_ms=record.created_ms,
    )


def _absolute(uri: str, *, root: epath.Path) -> str:
    """Returns the place of a published folder.

    Earlier versions recorded absolute URIs. If the root has been moved since, the folder is found below it by the part
    `artifacts/<stage>/<output>/<execution>`.
    """
    if storage.is_remote(uri) and not storage.is_remote(root):
        return uri
    parts = uri.split("/")
    if parts[-4:-3] == ["artifacts"]:
        return os.fspath(epath.Path(root, *parts[-4:]))
    return os.fspath(epath.Path(root, uri))


def execution_record(execution: Execution) -> Record:
    """Returns an execution as a record, without its outputs."""
    key = execution.cache_key
    record = Record(
        type=execution.stage,
        id=execution.id,
        state=int(execution.state),
        properties={
            CACHE_KEY: key.digest,
            "version": key.version,
            "libraries": json.dumps(key.libraries),
            "config": json.dumps(key.config),
            "code": json.dumps(execution.code),
            "inputs": json.dumps(key.inputs),
            "external": json.dumps(key.external),
            "why": execution.why,
            "summary": execution.summary,
            "seconds": float(execution.seconds),
        },
    )
    for name, value in execution.figures.items():
        record.properties[_FIGURE_PREFIX + name] = plain(value)
    return record


def execution(record: Record, *, outputs: dict[str, Artifact]) -> Execution:
    """Returns the execution that a record stands for.

    Args:
        record: The record.
        outputs: The artifacts that the execution wrote, by output channel.
    """
    properties = record.properties
    return Execution(
        cache_key=CacheKey(
            stage=record.type,
            # Records of earlier versions of Diptych lack these two.
            version=properties.get("version", 0),
            libraries=json.loads(properties.get("libraries", "{}")),
            config=json.loads(properties["config"]),
            inputs=json.loads(properties["inputs"]),
            external=json.loads(properties["external"]),
        ),
        code=json.loads(properties["code"]),
        state=State(record.state),
        why=properties["why"],
        summary=properties["summary"],
        seconds=properties["seconds"],
        figures={
            name.removeprefix(_FIGURE_PREFIX): value
            for name, value in properties.items()
            if name.startswith(_FIGURE_PREFIX)
        },
        outputs=outputs,
        id=record.id,
        started_ms=record.created_ms,
    )
