"""Selects what the tests compare from the complete vectors: `python -m tests.reference.trim FOLDER`.

FOLDER holds `fixtures/*.npz`, with all stages and gradients of the reference networks, and `manifest/*.json`, with the
names of their tensors.
"""

import json
import pathlib
import sys

import numpy as np

from tests.reference import VECTORS, inputs

NETWORKS = ("cnn6", "resnet22", "res1dnet31", "res1dnet31_gn32_samepool")
STACKS = ("conv320_gn1_nobias_valid", "conv320_gn32_nobias_same")
LARGE_CASE_ROWS = 8  # Of the gradient in the largest case of NT-Xent.
FRAME_STEP = 8  # Of the log-mels.
CLASS_STEP = 30  # Of the classes whose average precision is compared.


def network(vectors, *, with_gradients):
    """Keeps outputs in evaluation in float64, with which a second implementation is compared, and norms."""
    kept = {}
    for key, array in vectors.items():
        if key.startswith("input_"):
            np.testing.assert_array_equal(inputs()[key.removeprefix("input_")], array)
        elif key.startswith("eval_f64_") or (key == "grad_norm" and with_gradients):
            kept[key] = array
        elif key.startswith("train_") or (key.startswith("grad_input_") and with_gradients):
            kept[key] = array.astype(np.float32)
    return kept


def ntxent(vectors):
    """Keeps all of each case, of the largest one a few rows of the gradient."""
    kept = {}
    for key, array in vectors.items():
        case, name = key.split("/")
        if name.startswith("grad_"):
            kept[key] = array[: LARGE_CASE_ROWS if case == "c" else None].astype(np.float32)
        elif name in ("u", "v"):
            kept[key] = array.astype(np.float32)
        elif name in ("tau", "per_anchor", "top1_acc"):
            kept[key] = array
    return kept


def log_mels(vectors):
    """Keeps every few frames of the log-mels of power spectra, and the number of frames."""
    kept = {"wave": vectors["wave"], "frame_step": np.array(FRAME_STEP)}
    for key, array in vectors.items():
        parts = key.split("/")
        if parts[0] == "logmel" and parts[2] != "padend" and parts[3] == "p2" and parts[5] != "ln_max1e-10":
            kept[key], kept[f"{key}/shape"] = array[::FRAME_STEP], np.array(array.shape)
    return kept


def mean_average_precision(vectors):
    """Keeps every few classes of a ranking of many clips, and the whole small one with logits of sub-clips."""
    classes = slice(None, None, CLASS_STEP)
    targets = np.unpackbits(vectors["y_packed"], axis=1)[:, : vectors["C"]]
    kept = {"targets": np.packbits(targets[:, classes], axis=0), "scores": vectors["scores"][:, classes]}
    for key in ("ap", "auc", "tied_ap", "tied_auc"):
        kept[key] = vectors[key][classes]
    return kept | {key: array for key, array in vectors.items() if key.startswith("subclip_")}


def main():
    folder = pathlib.Path(sys.argv[1])
    trims = {"logmel": log_mels, "map": mean_average_precision, "ntxent": ntxent}
    for name in (*NETWORKS, *STACKS, *trims):
        with np.load(folder / "fixtures" / f"{name}.npz") as file:
            vectors = dict(file)
        kept = trims[name](vectors) if name in trims else network(vectors, with_gradients=name in NETWORKS)
        np.savez_compressed(VECTORS / f"{name}.npz", **kept)
    networks = {}
    for path in sorted((folder / "manifest").glob("*.json")):
        manifest = json.loads(path.read_text())
        tensors = [[tensor["name"], tensor["kind"], tensor["torch_shape"]] for tensor in manifest["tensors"]]
        networks[path.stem] = {"weights_of": manifest["weights_of"], "tensors": tensors}
    lines = [f"{json.dumps(name)}: {json.dumps(value, separators=(',', ':'))}" for name, value in networks.items()]
    (VECTORS.parent / "tensors.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
