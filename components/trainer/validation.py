"""Validates a model on the valid split during training: contrastive loss, effective ranks and a probe."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from beam_jobs import examples
from beam_jobs.audio import pcm
from components.trainer import collapse, input_pipeline, ridge_probe
from components.trainer.step import Logs
from models import contrastive
from models.dual import DualEncoder

MIN_PROBE_CLIPS = 200
"""With fewer labeled clips, the probe is too noisy to choose the best model."""

_CLIPS_SHOWN = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidationResult:
    """The result of one validation.

    Attributes:
        score: Chooses the best model; higher is better. It is the score of the probe, or the negative loss if there is
            no probe or it has fewer than `MIN_PROBE_CLIPS`.
        ranks: Name of an embedding -> its effective rank.
        figures: All figures for the logs, by name; they include the ranks.
        similarities: `(n, n)` cosines of projections of the first clips: branch A in rows, branch B in columns.
    """

    score: float
    ranks: dict[str, float]
    figures: dict[str, float]
    similarities: np.ndarray


class Validation:
    """Validates a model, always on the same crops of the same clips.

    Args:
        model: Each validation uses its current weights.
        info: The examples, which the probe reads.
        batch: The crops of the contrastive loss, see `input_pipeline.validation_batch`.
        temperature: tau of the loss.
        probe_clips: Maximum number of clips for the probe; 0 for no probe.
        chunk: Number of clips to embed at a time.

    Attributes:
        clips: Number of clips whose embeddings are ranked.
    """

    def __init__(
        self,
        model: DualEncoder,
        *,
        info: examples.ExamplesInfo,
        batch: input_pipeline.Batch,
        temperature: float,
        probe_clips: int,
        chunk: int,
    ):
        self._crops_a, self._crops_b = batch["a"].numpy(), batch["b"].numpy()
        self._compute_loss = make_loss(model, temperature=temperature)
        self._encode_a = _in_chunks(lambda x: {"": model.encode(0, x, training=False)}, model, chunk=chunk)
        self._encode_b = _in_chunks(lambda x: {"": model.encode(1, x, training=False)}, model, chunk=chunk)
        self._embed = _in_chunks(model.embed, model, chunk=chunk)
        self._probe = ridge_probe.read_clips(info, crop_samples=model.crop_samples, max_clips=probe_clips)
        # Without a probe, the embeddings of the loss's crops are ranked.
        self._ranked_crops = self._crops_a if self._probe is None else self._probe.crops
        self.clips = len(self._ranked_crops)

    def run(self) -> ValidationResult:
        """Validates the model with its current weights. It does not change the model."""
        logs, similarities = self._compute_loss(self._encode_a(self._crops_a)[""], self._encode_b(self._crops_b)[""])
        figures = {name: float(value) for name, value in logs.items()}
        embeddings = self._embed(self._ranked_crops)
        ranks = {name: collapse.effective_rank(values) for name, values in embeddings.items()}
        figures.update({f"effective_rank_{name}": rank for name, rank in ranks.items()})
        score = -figures["loss"]
        if self._probe is not None:
            features = np.concatenate(list(embeddings.values()), axis=1)
            metric, probe_score = ridge_probe.score(features, self._probe.targets)
            figures[f"probe_{metric}"] = probe_score
            if self.clips >= MIN_PROBE_CLIPS:
                score = probe_score
        return ValidationResult(score=score, ranks=ranks, figures=figures, similarities=similarities.numpy())


def make_loss(model: DualEncoder, *, temperature: float) -> Callable[[tf.Tensor, tf.Tensor], tuple[Logs, tf.Tensor]]:
    """Builds the compiled loss, `loss(embeddings_a, embeddings_b) -> (logs, similarities)`.

    It takes the `(clips, dim)` embeddings of both branches. `logs` has the contrastive loss and the logs of
    `contrastive.nt_xent_with_logs`. `similarities` are `(n, n)` cosines of the first clips' projections: branch A in
    rows, branch B in columns.
    """
    projector = model.projector

    def project(embeddings: tf.Tensor) -> tf.Tensor:
        # As in training, batch norm in the projector uses the statistics of each branch. The running statistics mix
        # both branches. `stateless_call` does not update them.
        state = projector.trainable_variables, projector.non_trainable_variables
        return projector.stateless_call(*state, embeddings, training=True)[0]

    def unit_rows(z: tf.Tensor) -> tf.Tensor:
        return tf.math.l2_normalize(tf.cast(z[:_CLIPS_SHOWN], tf.float32), axis=1)

    @tf.function
    def loss(embeddings_a: tf.Tensor, embeddings_b: tf.Tensor) -> tuple[Logs, tf.Tensor]:
        z_a, z_b = project(embeddings_a), project(embeddings_b)
        losses, logs = contrastive.nt_xent_with_logs(z_a, z_b, temperature=temperature)
        similarities = tf.matmul(unit_rows(z_a), unit_rows(z_b), transpose_b=True)
        return {"loss": tf.reduce_mean(losses), **logs}, similarities

    return loss


def _in_chunks(
    function: Callable[[tf.Tensor], dict[str, tf.Tensor]], model: DualEncoder, *, chunk: int
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Compiles a function of crops, float32 `(chunk, crop_samples)`.

    Returns:
        A function of int16 `(clips, crop_samples)`, for any number of clips. It computes `chunk` of them at a time.
    """

    @tf.function(input_signature=[tf.TensorSpec((chunk, model.crop_samples), tf.int16)])
    def compiled(crops: tf.Tensor) -> dict[str, tf.Tensor]:
        return function(pcm.to_float(crops))

    def run(crops: np.ndarray) -> dict[str, np.ndarray]:
        parts = []
        for start in range(0, len(crops), chunk):
            part = crops[start : start + chunk]
            padded = np.pad(part, ((0, chunk - len(part)), (0, 0)))  # One shape needs one compilation.
            outputs = compiled(padded)
            parts.append({name: tf.cast(out, tf.float32).numpy()[: len(part)] for name, out in outputs.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return run
