"""Writes texts for TensorBoard without TensorFlow, which would slow down a run that skips everything."""

import time
from collections.abc import Iterator, Mapping

from etils import epath
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2
from tensorboard.plugins.text import metadata

from beam_jobs.examples import tfrecord


def write_texts(folder: epath.Path, texts: Mapping[str, str]) -> None:
    """Writes texts as all that a folder of event files holds.

    A TensorBoard that is running forgets the texts of the last call when it reads these.

    Args:
        folder: The folder, which nobody else writes into.
        texts: Tag -> Markdown.

    Raises:
        OSError: The folder cannot be written to. The last texts are still there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    earlier = list(folder.iterdir())
    file = folder / f"events.out.tfevents.{time.time_ns()}"  # TensorBoard reads files in the order of their names.
    with tfrecord.Writer(file) as writer:
        for event in _events(texts):
            writer.write(event.SerializeToString())
    for path in earlier:
        path.unlink()


def _events(texts: Mapping[str, str]) -> Iterator[event_pb2.Event]:
    # Some tabs list the runs by the time of their first event, and this folder is to come first.
    yield event_pb2.Event(file_version="brain.Event:2", wall_time=1.0)
    # TensorBoard drops what it has read before.
    yield event_pb2.Event(session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START), wall_time=time.time())
    for tag, text in texts.items():
        value = summary_pb2.Summary.Value(
            tag=tag,
            metadata=metadata.create_summary_metadata(display_name=tag, description=""),
            tensor=tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_shape={}, string_val=[text.encode()]),
        )
        yield event_pb2.Event(summary=summary_pb2.Summary(value=[value]), wall_time=time.time())
