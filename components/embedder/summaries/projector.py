"""The files of TensorBoard's tab Projector: vectors, labels, and a small picture of each clip."""

from collections.abc import Iterable, Sequence

import matplotlib
import numpy as np
import tensorflow as tf
from etils import epath

from beam_jobs.audio import log_mel
from components.embedder.summaries.sample import DrawnClip

COMPONENTS = 64
"""Principal components of the vectors that are written. TensorBoard projects these, and the file stays small."""

TILE = 48
"""Width and height of a clip's picture in pixels."""

_CONFIG = f"""embeddings {{
  tensor_name: "clips"
  tensor_path: "embedding.tsv"
  metadata_path: "labels.tsv"
  sprite {{
    image_path: "sprites.png"
    single_image_dim: {TILE}
    single_image_dim: {TILE}
  }}
}}
"""

_QUIETEST = np.log(log_mel.FLOOR)
_LOUDEST = 4.0  # Few energies are above it: a full-scale sine has about 8.


def write(clips: Sequence[DrawnClip], tiles: Iterable[np.ndarray], *, directory: epath.Path) -> float:
    """Writes the files into the folder of the event files.

    Args:
        clips: The clips.
        tiles: The picture of each, see `tile`.
        directory: The folder.

    Returns:
        The share of the variance of the vectors that is left in what was written.
    """
    components, share = principal_components(np.stack([clip.vector for clip in clips]), most=COMPONENTS)
    vector_lines = ["\t".join(f"{value:.4g}" for value in row) for row in components]
    label_lines = ["label\tclass\tclip\tsplit"]
    for clip in clips:
        # TensorBoard colors by a column only if it has few values, so one holds a single class.
        fields = (clip.label or "none", clip.classes[0] if clip.classes else "none", clip.clip_id, clip.split)
        label_lines.append("\t".join(" ".join(field.split()) for field in fields))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "embedding.tsv").write_text("\n".join(vector_lines) + "\n")
    (directory / "labels.tsv").write_text("\n".join(label_lines) + "\n")
    (directory / "sprites.png").write_bytes(tf.io.encode_png(sprites(list(tiles))).numpy())
    (directory / "projector_config.pbtxt").write_text(_CONFIG)
    return share


def tile(audio: np.ndarray, *, sample_rate: int) -> np.ndarray:
    """Draws the log-mel spectrogram of a clip, low bands at the bottom.

    Args:
        audio: int16 (samples,).
        sample_rate: In Hz.

    Returns:
        uint8 (TILE, TILE, 3).
    """
    energies = log_mel.log_mel(audio, sample_rate=sample_rate)
    rows = _averaged(_averaged(energies, TILE).T, TILE)[::-1]
    levels = np.clip((rows - _QUIETEST) / (_LOUDEST - _QUIETEST), 0, 1)
    return matplotlib.colormaps["magma"](levels, bytes=True)[..., :3]


def sprites(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Puts pictures into a square, row by row, as the projector expects them: uint8 (side, side, 3)."""
    columns = int(np.ceil(np.sqrt(len(tiles))))
    square = np.zeros((columns, columns, TILE, TILE, 3), np.uint8)
    for index, picture in enumerate(tiles):
        square[index // columns, index % columns] = picture
    return square.transpose(0, 2, 1, 3, 4).reshape(columns * TILE, columns * TILE, 3)


def principal_components(vectors: np.ndarray, *, most: int) -> tuple[np.ndarray, float]:
    """Returns the coordinates along the principal components, and the share of the variance in them.

    Args:
        vectors: float32 (clips, dim).
        most: Number of components, if there are as many.

    Returns:
        (clips, components) and the share, 1 if there is no variance.
    """
    left, lengths, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    variances = np.square(lengths, dtype=np.float64)
    share = variances[:most].sum() / variances.sum() if variances.sum() else 1.0
    return (left * lengths)[:, :most], float(share)


def _averaged(values: np.ndarray, count: int) -> np.ndarray:
    """Averages the rows of a matrix in `count` groups of neighbors; some repeat where there are fewer rows."""
    ends = np.linspace(0, len(values), count + 1)
    firsts = np.minimum(ends[:-1].astype(int), len(values) - 1)
    lasts = np.maximum(np.ceil(ends[1:]).astype(int), firsts + 1)
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
    return (sums[lasts] - sums[firsts]) / (lasts - firsts)[:, None]
