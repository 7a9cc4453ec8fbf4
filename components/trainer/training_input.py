"""The distributed input of a training."""

import contextlib
import functools
from collections.abc import Iterator

import tensorflow as tf
from absl import logging
from etils import epath

from beam_jobs.remote_file import TENSORFLOW_READ_BYTES, is_remote
from components.errors import UserError
from components.trainer import input_pipeline, strategies

_READS_AHEAD = (
    "the hosts read clips from a bucket, and TensorFlow reads 64 MB for each unless their processes have "
    f"GCS_READAHEAD_BUFFER_SIZE_BYTES={TENSORFLOW_READ_BYTES} in the environment; without it, set "
    "trainer.clips_per_read=200, which begins a new training and takes 131 GB of memory for clips of 10 s, divided "
    "among the hosts"
)


class TrainingInput:
    """Reads the train split for all replicas of a strategy.

    Args:
        examples_dir: The folder of examples.
        options: How clips become batches.
        strategy: The replicas.
        micro_batch: Pairs that a replica embeds at a time.
        start_step: Number of steps that are done already.
        times: How many times the micro-batches of a step follow each other, see `input_pipeline.training_batches`.

    Raises:
        UserError: The split has fewer clips than a batch. Or the examples are FLAC, and are read by processes that
            have no decoder for it.
        DamagedExamplesError: See `record_sizes.read`.

    Attributes:
        iterator: The distributed iterator over micro-batches.
    """

    def __init__(
        self,
        examples_dir: epath.Path,
        options: input_pipeline.InputOptions,
        *,
        strategy: tf.distribute.Strategy,
        micro_batch: int,
        start_step: int,
        times: int,
    ):
        self._read = functools.partial(input_pipeline.training_batches, examples_dir, options, micro_batch=micro_batch)
        self._start_step, self._times = start_step, times
        self._batch_size, self._micro_batch = options.batch_size, micro_batch
        self._flac_decoder = "tensorflow_io" if strategies.reads_elsewhere(strategy) else "soundfile"
        if strategies.reads_elsewhere(strategy) and is_remote(examples_dir):
            logging.warning(_READS_AHEAD)
        # The strategy sets it, through `_open`. Of the hosts that this process serves, it is the last one.
        self._host = tf.distribute.InputContext()
        with _missing_decoder_errors():
            self.iterator = iter(strategy.distribute_datasets_from_function(self._open))

    def clip_ids(self, step: int) -> list[str]:
        """Returns the clips of the batch that follows the first `step` steps, those of all hosts.

        Each host can tell the parts of the others, because they derive from the seed.
        """
        hosts = self._host.num_input_pipelines
        micro_batches = self._batch_size // (hosts * self._micro_batch)
        ids: list[str] = []
        for host in range(hosts):
            context = tf.distribute.InputContext(hosts, host, self._host.num_replicas_in_sync)
            for batch in self._read(start_step=step, context=context).take(micro_batches):
                ids += [clip_id.decode() for clip_id in batch["clip_id"].numpy()]
        return ids

    def _open(self, host: tf.distribute.InputContext) -> tf.data.Dataset:
        self._host = host
        return self._read(
            start_step=self._start_step,
            with_ids=False,
            flac_decoder=self._flac_decoder,
            context=host,
            times=self._times,
        )


@contextlib.contextmanager
def _missing_decoder_errors() -> Iterator[None]:
    """Turns TensorFlow's error where tensorflow-io is not loaded into a `UserError`."""
    try:
        yield
    except tf.errors.NotFoundError as error:
        if "Op type not registered 'IO>AudioDecodeFlac'" not in error.message:
            raise
        raise UserError(
            "The examples are stored as FLAC, and the machines that read them have not loaded tensorflow-io: write the "
            "examples again with audio_example_gen.storage=pcm, which every machine reads."
        ) from error
