"""Writes texts and pictures for TensorBoard without TensorFlow, which would slow down a run that skips everything."""

import dataclasses
import io
import itertools
import time
import types
from collections.abc import Collection, Iterable, Iterator, Mapping

from etils import epath
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.text import metadata
from tensorboard.summary.writer import record_writer

from beam_jobs import storage

_PLACE = "-tfevents-place"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture for TensorBoard.

    Attributes:
        png: The content of a PNG file.
        width: Its width in pixels.
        height: Its height in pixels.
    """

    png: bytes
    width: int
    height: int


def write_texts(
    folder: epath.Path,
    texts: Mapping[str, str],
    *,
    pictures: Mapping[str, Picture] = types.MappingProxyType({}),
) -> None:
    """Writes texts, and pictures, as all that a folder of event files holds.

    A TensorBoard that is running forgets those of the last call when it reads these.

    Args:
        folder: The folder, which nobody else writes into.
        texts: Tag -> Markdown.
        pictures: Tag -> picture.

    Raises:
        OSError: The folder cannot be written to. What was written last is still there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    earlier = [entry.name for entry in storage.entries(folder)]
    file = folder / f"events.out.tfevents.{time.time_ns()}"  # TensorBoard reads files in the order of their names.
    values = [*itertools.starmap(_text, texts.items()), *itertools.starmap(_picture, pictures.items())]
    file.write_bytes(_records(_events(values)))
    storage.remove_files(folder, earlier)


def write_summaries(folder: epath.Path, summaries: Iterable[tuple[int, summary_pb2.Summary]]) -> None:
    """Writes summaries, each with its step, as one event file in a folder that has none.

    Raises:
        OSError: The folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    events = [event_pb2.Event(summary=summary, step=step, wall_time=time.time()) for step, summary in summaries]
    file = folder / f"events.out.tfevents.{time.time_ns()}"
    file.write_bytes(_records([_version(wall_time=time.time()), *events]))


def write_place(folder: epath.Path, place: int, *, among: Collection[str] | None = None) -> None:
    """Writes at which place TensorBoard lists a folder of event files, counted from 1; the overview comes before.

    Most tabs list folders by the time of their first event, so this one is in 1970.

    Args:
        folder: The folder.
        place: Its place.
        among: Names of the files in the folder; None lists them.

    Raises:
        OSError: The folder cannot be written to.
    """
    # This name comes first in the folder, and does not look like that of a file that the stage has written.
    name = f"{place:02d}{_PLACE}"
    names = [entry.name for entry in storage.entries(folder)] if among is None else among
    written = [other for other in names if other.endswith(_PLACE)]
    if written == [name]:
        return
    storage.remove_files(folder, written)  # The pipeline had more stages, or fewer.
    (folder / name).write_bytes(_records([_version(wall_time=1.0 + place)]))


def _records(events: Iterable[event_pb2.Event]) -> bytes:
    """Returns the content of an event file."""
    content = io.BytesIO()
    writer = record_writer.RecordWriter(content)
    for event in events:
        writer.write(event.SerializeToString())
    return content.getvalue()


def _version(*, wall_time: float) -> event_pb2.Event:
    return event_pb2.Event(file_version="brain.Event:2", wall_time=wall_time)


def _events(values: Iterable[summary_pb2.Summary.Value]) -> Iterator[event_pb2.Event]:
    yield _version(wall_time=1.0)  # See `write_place`.
    # TensorBoard drops what it has read before.
    yield event_pb2.Event(session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START), wall_time=time.time())
    for value in values:
        yield event_pb2.Event(summary=summary_pb2.Summary(value=[value]), wall_time=time.time())


def _text(tag: str, text: str) -> summary_pb2.Summary.Value:
    return summary_pb2.Summary.Value(
        tag=tag,
        metadata=metadata.create_summary_metadata(display_name=tag, description=""),
        tensor=tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_shape={}, string_val=[text.encode()]),
    )


def _picture(tag: str, picture: Picture) -> summary_pb2.Summary.Value:
    strings = [str(picture.width).encode(), str(picture.height).encode(), picture.png]
    shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=len(strings))])
    return summary_pb2.Summary.Value(
        tag=tag,
        metadata=image_metadata.create_summary_metadata(display_name=tag, description=""),
        tensor=tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_shape=shape, string_val=strings),
    )
