"""What ExampleValidator shows in TensorBoard: a table of the anomalies and their number by severity."""

from collections.abc import Sequence

import tensorflow as tf
from etils import epath

from components import tensorboard
from components.example_validator.anomaly import Anomaly


def write(anomalies: Sequence[Anomaly], *, directory: epath.Path) -> None:
    """Writes the anomalies to event files in `directory`."""
    table = "No anomalies."
    if anomalies:
        rows = [(anomaly.severity, anomaly.name, anomaly.message) for anomaly in anomalies]
        table = tensorboard.markdown_table(("severity", "anomaly", "what"), rows)
    with tensorboard.writer(directory).as_default(step=0):
        tf.summary.text("anomalies", table)
        tf.summary.scalar("fatal", sum(anomaly.severity == "fatal" for anomaly in anomalies))
        tf.summary.scalar("warnings", sum(anomaly.severity == "warning" for anomaly in anomalies))
