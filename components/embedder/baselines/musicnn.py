"""The music taggers of the musicnn package, read out of its wheel without installing it."""

import pathlib
import tempfile

import numpy as np
import tensorflow as tf

from beam_jobs import error_text, storage
from beam_jobs.embedding.embedder import Framing
from components.embedder.baselines import musicnn_networks, options, packages
from components.embedder.baselines.function_embedder import FunctionEmbedder
from components.errors import UserError
from models import frontends, subclip_starts

# The frames lie within the window, like those in the middle of a longer spectrogram that musicnn cuts.
_WINDOW = (options.MUSICNN_FRAMES - 1) * 256 + 512
_FRAMING = Framing(
    sample_rate=options.MUSICNN_SAMPLE_RATE, window_samples=_WINDOW, hop_samples=subclip_starts.half_crop(_WINDOW)
)


def load(package: str, *, network: str) -> FunctionEmbedder:
    """Returns an embedder with one of the networks.

    It computes spectrograms in 32 bits, where musicnn takes 16, in which they are infinite for loud sounds.

    Args:
        package: The wheel, or a folder with the files of the checkpoint.
        network: One of `options.MUSICNN_OUTPUTS`.

    Raises:
        UserError: The package has no such checkpoint, or it is damaged.
    """
    weights = {name: tf.constant(value) for name, value in read_weights(package, network=network).items()}
    layers = musicnn_networks.NETWORKS[network]
    output = options.MUSICNN_OUTPUTS[network]
    front_end = frontends.LogMel(
        options.MUSICNN, sample_rate=options.MUSICNN_SAMPLE_RATE, n_bands=options.MUSICNN_BANDS
    )

    @tf.function(input_signature=[tf.TensorSpec((None, _WINDOW), tf.float32)], autograph=False)
    def embed(windows: tf.Tensor) -> dict[str, tf.Tensor]:
        log_mel = front_end(windows) / np.log(10.0) + 4.0  # See `options.MUSICNN`.
        return {output: layers(log_mel, weights)[output]}

    return FunctionEmbedder(embed, framing=_FRAMING, source=f"{network} of {package}")


def read_weights(package: str, *, network: str) -> dict[str, np.ndarray]:
    """Returns the variables of a checkpoint without those of the optimizer.

    Raises:
        UserError: See `load`.
    """
    with tempfile.TemporaryDirectory() as folder, storage.without_wildcards(folder) as readable:
        files = options.musicnn_files(network)
        for name, content in zip(files, packages.read(package, files), strict=True):
            pathlib.Path(folder, f"weights{pathlib.PurePath(name).name}").write_bytes(content)
        try:
            reader = tf.train.load_checkpoint(f"{readable}/weights")
            return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if "Adam" not in name}
        except Exception as error:  # TensorFlow raises errors of many types for damaged files.
            raise UserError(
                f"{network} of {package} is damaged ({error_text.first_line(error)}): download it again."
            ) from error
