"""Shows the exported model and the results of its validation in TensorBoard."""

import tensorflow as tf
from etils import epath

from components import tensorboard
from components.embedding_info import EmbeddingInfo
from components.exporter.infra_validator import InfraBlessing


def write(info: EmbeddingInfo, blessing: InfraBlessing, *, runtimes: str | None, directory: epath.Path) -> None:
    """Writes the signatures, the embedding info, the checks, the latencies and how the other files compare.

    Args:
        info: Describes the SavedModel.
        blessing: The verdict of the InfraValidator.
        runtimes: The page about the files for other runtimes, in Markdown; None if there are none.
        directory: Folder of the event files.
    """
    signatures = [
        (signature, output, shape) for signature, shapes in info.signatures.items() for output, shape in shapes.items()
    ]
    checks = [(name, "passed" if check.passed else "FAILED", check.detail) for name, check in blessing.checks.items()]
    with tensorboard.writer(directory).as_default(step=0):
        tf.summary.text(
            "saved_model/signatures", tensorboard.markdown_table(("signature", "output", "shape"), signatures)
        )
        tf.summary.text("saved_model/embedding_info", f"```\n{info.to_json()}\n```")
        tf.summary.text("infra/checks", tensorboard.markdown_table(("check", "outcome", "detail"), checks))
        for name, milliseconds in blessing.latency_ms.items():
            tf.summary.scalar(f"infra/latency_ms/{name}", milliseconds)
        if runtimes is not None:
            tf.summary.text("saved_model/runtimes", runtimes)
