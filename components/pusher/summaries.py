"""Shows in TensorBoard whether and where the model was pushed."""

from collections.abc import Mapping

import tensorflow as tf
from etils import epath

from components import tensorboard


def write(report: Mapping[str, object], *, directory: epath.Path) -> None:
    """Writes the fields of `pushed.json` as a table.

    Args:
        report: Name of a field -> its value.
        directory: Folder of the event files.
    """
    with tensorboard.writer(directory).as_default(step=0):
        tf.summary.text("pushed", tensorboard.markdown_table(("field", "value"), list(report.items())))
