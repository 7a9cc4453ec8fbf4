"""Validates a model on the valid split during training: contrastive loss, effective ranks and a probe."""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
from absl import logging

from beam_jobs import examples
from beam_jobs.audio import pcm
from components import ridge_probe, text
from components.trainer import collapse, input_pipeline, probe_sample
from components.trainer.modality_gap import modality_gap
from components.trainer.step import Logs
from models import contrastive, subclip_starts
from models.dual import DualEncoder

MIN_PROBE_CLIPS = 200
"""With fewer clips in its score, the probe is too noisy to choose the best model."""

_CLIPS_SHOWN = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidationResult:
    """The result of one validation.

    Attributes:
        score: Chooses the best model; higher is better. It is the score of the probe, or the negative loss if the
            probe scores fewer than `MIN_PROBE_CLIPS` clips.
        metric: Name of the figure that is the score: "probe_accuracy", "probe_mAP", or "loss".
        ranks: Name of an embedding -> its effective rank.
        figures: All figures for the logs, by name; they include the ranks.
        similarities: `(n, n)` cosines of projections of the first clips: branch A in rows, branch B in columns.
    """

    score: float
    metric: str
    ranks: dict[str, float]
    figures: dict[str, float]
    similarities: np.ndarray


class Validation:
    """Validates a model, always on the same crops and the same clips.

    The probe scores the mean embedding of all sub-clips of a clip, like the Evaluator, which averages logits: for a
    linear probe, that is the same.

    Args:
        model: Each validation uses its current weights.
        info: The examples, which the probe reads.
        batch: The crops of the contrastive loss, see `input_pipeline.validation_batch`.
        temperature: tau of the loss.
        probe_clips: Maximum number of clips for the probe; 0 for no probe.
        chunk: Number of crops or sub-clips that a replica embeds at a time.
        strategy: How the model is trained. All its replicas, of all hosts, embed a part; the default is one device.
        seed: Seed of the probe's sample of clips.

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
        strategy: tf.distribute.Strategy | None = None,
        seed: int = 0,
    ):
        strategy = strategy or tf.distribute.get_strategy()
        self._crop_samples, self._chunk = model.crop_samples, chunk * strategy.num_replicas_in_sync
        self._crops_a, self._crops_b = batch["a"].numpy(), batch["b"].numpy()
        self._compute_loss = make_loss(model, temperature=temperature)
        in_chunks = functools.partial(_in_chunks, crop=model.crop_samples, chunk=chunk, strategy=strategy)
        self._encode_a = in_chunks(lambda x: {"": model.encode(0, x, training=False)})
        self._encode_b = in_chunks(lambda x: {"": model.encode(1, x, training=False)})
        self._embed = in_chunks(model.embed)
        sample = probe_sample.draw(info, max_clips=probe_clips, seed=seed)
        self._probe = sample if sample is not None and ridge_probe.can_score(sample.targets) else None
        self._probe_chooses = why_loss_chooses(sample, max_clips=probe_clips) is None
        # Without a probe, the embeddings of the loss's crops are ranked.
        self.clips = len(self._crops_a) if self._probe is None else len(self._probe)
        _log_choice(sample, max_clips=probe_clips)

    def run(self) -> ValidationResult:
        """Validates the model with its current weights. It does not change the model."""
        started = time.monotonic()
        logs, similarities = self._compute_loss(self._encode_a(self._crops_a)[""], self._encode_b(self._crops_b)[""])
        figures = {name: float(value) for name, value in logs.items()}
        embeddings = self._embed(self._crops_a) if self._probe is None else self._embed_clips(self._probe)
        ranks = {name: collapse.effective_rank(values) for name, values in embeddings.items()}
        figures.update({f"effective_rank_{name}": rank for name, rank in ranks.items()})
        chooses = "loss"
        if self._probe is not None:
            features = np.concatenate(list(embeddings.values()), axis=1)
            targets = self._probe.targets
            metric, probe_score = ridge_probe.score(features, targets)
            figures[f"probe_{metric}"] = probe_score
            figures["probe_classes"] = len(ridge_probe.scored_classes(targets))
            figures["probe_classes_left_out"] = targets.shape[1] - figures["probe_classes"]
            if self._probe_chooses:
                chooses = f"probe_{metric}"
        score = -figures["loss"] if chooses == "loss" else figures[chooses]
        figures["seconds"] = time.monotonic() - started
        return ValidationResult(
            score=score, metric=chooses, ranks=ranks, figures=figures, similarities=similarities.numpy()
        )

    def _embed_clips(self, sample: probe_sample.ProbeSample) -> dict[str, np.ndarray]:
        """Returns the mean embedding of the sub-clips of each clip, by name, float32 `(clips, dim)`.

        Clips are read one by one, and only one chunk of sub-clips is in memory.
        """
        sums: dict[str, np.ndarray] = {}
        counts = np.zeros(len(sample))
        for clips, waveforms in _chunks(sample.audio(), crop=self._crop_samples, size=self._chunk):
            counts += np.bincount(clips, minlength=len(sample))
            for name, values in self._embed(waveforms).items():
                if name not in sums:
                    sums[name] = np.zeros((len(sample), values.shape[1]))
                np.add.at(sums[name], clips, values)
        return {name: (total / counts[:, None]).astype(np.float32) for name, total in sums.items()}


def make_loss(model: DualEncoder, *, temperature: float) -> Callable[[tf.Tensor, tf.Tensor], tuple[Logs, tf.Tensor]]:
    """Builds the compiled loss, `loss(embeddings_a, embeddings_b) -> (logs, similarities)`.

    It takes the `(clips, dim)` embeddings of both branches. `logs` has the contrastive loss, the logs of
    `contrastive.nt_xent_with_logs` and the modality gap of the projections. `similarities` are `(n, n)` cosines of the
    first clips' projections: branch A in rows, branch B in columns.
    """
    projector = model.projector

    def project(embeddings: tf.Tensor) -> tf.Tensor:
        # As in training, batch norm in the projector uses the statistics of each branch. The running statistics mix
        # both branches. `stateless_call` does not update them.
        state = projector.trainable_variables, projector.non_trainable_variables
        return projector.stateless_call(*state, embeddings, training=True)[0]

    def unit_rows(z: tf.Tensor) -> tf.Tensor:
        return tf.math.l2_normalize(tf.cast(z[:_CLIPS_SHOWN], tf.float32), axis=1)

    @tf.function(autograph=False)
    def loss(embeddings_a: tf.Tensor, embeddings_b: tf.Tensor) -> tuple[Logs, tf.Tensor]:
        z_a, z_b = project(embeddings_a), project(embeddings_b)
        losses, logs = contrastive.nt_xent_with_logs(z_a, z_b, temperature=temperature)
        similarities = tf.matmul(unit_rows(z_a), unit_rows(z_b), transpose_b=True)
        return {"loss": tf.reduce_mean(losses), **logs, "modality_gap": modality_gap(z_a, z_b)}, similarities

    return loss


def why_loss_chooses(sample: probe_sample.ProbeSample | None, *, max_clips: int) -> str | None:
    """Returns the reason why the loss chooses the best model, or None if the probe does.

    Args:
        sample: The sample of the probe, if there is one.
        max_clips: Maximum number of clips in it, `trainer.probe_clips`.
    """
    if max_clips == 0:
        return "trainer.probe_clips is 0"
    if sample is None:
        return "no clip of the valid split has a label"
    if len(sample) == max_clips < MIN_PROBE_CLIPS:
        return f"trainer.probe_clips is {max_clips}, and a probe needs {MIN_PROBE_CLIPS} clips"
    if len(sample) < MIN_PROBE_CLIPS:
        return f"the valid split has {text.plural(len(sample), 'labeled clip')}, and a probe needs {MIN_PROBE_CLIPS}"
    if not ridge_probe.can_score(sample.targets):
        return (
            f"among {len(sample):,} labeled clips of the valid split, no class has {ridge_probe.MIN_CLIPS} clips and "
            f"{ridge_probe.MIN_CLIPS} of other classes"
        )
    scored = ridge_probe.count_scored_clips(sample.targets)
    if scored < MIN_PROBE_CLIPS:
        return (
            f"only {scored:,} of {len(sample):,} labeled clips of the valid split are of a class with at least "
            f"{ridge_probe.MIN_CLIPS} clips, and a probe needs {MIN_PROBE_CLIPS}"
        )
    return None


def _log_choice(sample: probe_sample.ProbeSample | None, *, max_clips: int) -> None:
    """Says what chooses the best model, and how many classes the probe leaves out."""
    reason = why_loss_chooses(sample, max_clips=max_clips)
    if reason is not None:
        logging.info("the validation loss chooses the best model, because %s", reason)
        return
    scored, present = len(ridge_probe.scored_classes(sample.targets)), int(sample.targets.any(axis=0).sum())
    logging.info(
        "the %s of a probe on %s clips and %s classes of the valid split chooses the best model; %s other classes have "
        "fewer than %d clips in it and are left out",
        ridge_probe.metric_name(sample.targets),
        f"{ridge_probe.count_scored_clips(sample.targets):,}",
        f"{scored:,}",
        f"{present - scored:,}",
        ridge_probe.MIN_CLIPS,
    )


def _chunks(audio: Iterator[np.ndarray], *, crop: int, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cuts clips into the sub-clips of `models.subclips`, and yields `size` of them at a time.

    Yields:
        The index of each sub-clip's clip, int `(n,)`, and the sub-clips, int16 `(n, crop)`.
    """
    clips, waveforms = [], []
    for clip, samples in enumerate(audio):
        starts = subclip_starts.subclip_starts(samples.size, crop=crop, stride=subclip_starts.half_crop(crop))
        samples = np.resize(samples, max(crop, samples.size))  # A shorter clip is repeated.
        for start in probe_sample.evenly_spaced(starts):
            clips.append(clip)
            waveforms.append(samples[start : start + crop])
            if len(clips) == size:
                yield np.array(clips), np.array(waveforms)
                clips, waveforms = [], []
    if clips:
        yield np.array(clips), np.array(waveforms)


def _in_chunks(
    function: Callable[[tf.Tensor], dict[str, tf.Tensor]], *, crop: int, chunk: int, strategy: tf.distribute.Strategy
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Compiles a function of crops, float32 `(chunk, crop)`, and lets each replica compute its part of the crops.

    Returns:
        A function of int16 `(clips, crop)`, for any number of clips. All hosts must call it with the same crops.
    """
    size = chunk * strategy.num_replicas_in_sync

    def on_replica(crops: tf.Tensor) -> dict[str, tf.Tensor]:
        replica = tf.distribute.get_replica_context()
        part = tf.slice(crops, [replica.replica_id_in_sync_group * chunk, 0], [chunk, crop])
        outputs = {name: tf.cast(output, tf.float32) for name, output in function(pcm.to_float(part)).items()}
        if strategy.num_replicas_in_sync == 1:
            return outputs
        return {name: replica.all_gather(output, axis=0) for name, output in outputs.items()}

    @tf.function(input_signature=[tf.TensorSpec((size, crop), tf.int16)], autograph=False)
    def compiled(crops: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = strategy.run(on_replica, args=(crops,))
        return {name: strategy.experimental_local_results(output)[0] for name, output in outputs.items()}

    def run(crops: np.ndarray) -> dict[str, np.ndarray]:
        parts = []
        for start in range(0, len(crops), size):
            part = crops[start : start + size]
            padded = np.pad(part, ((0, size - len(part)), (0, 0)))  # One shape needs one compilation.
            parts.append({name: output.numpy()[: len(part)] for name, output in compiled(padded).items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return run
