"""Writes the `.pth` files in `data/`, which the tests read without torch, and the expected arrays in `expected.npz`.

It was run once, with a Python that has torch: `python tests/components/importer/make_torch_files.py`.
"""

import collections
import pathlib

import numpy as np
import torch

FOLDER = pathlib.Path(__file__).parent / "data"


def tensors():
    """Returns a state dict of tensors with all kinds of strides, dtypes and storages."""
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(4, 3, 2, 5, generator=generator)
    shared = torch.arange(24, dtype=torch.float64)
    return collections.OrderedDict(
        {
            "conv.weight": torch.nn.Parameter(kernel),
            "permuted": kernel.permute(2, 0, 3, 1),
            "strided": kernel[1::2, :, :, ::2],
            "expanded": torch.tensor([1.0, 2.0]).expand(3, 2),
            "shared.head": shared[:6].view(2, 3),
            "shared.tail": shared[10:],
            "half": torch.tensor([0.1, -2.0, 65504.0], dtype=torch.float16),
            "empty": torch.zeros(0, 3),
            "int32": torch.tensor([-1, 2**31 - 1], dtype=torch.int32),
            "uint8": torch.tensor([0, 255], dtype=torch.uint8),
            "bool": torch.tensor([True, False]),
            "bn.num_batches_tracked": torch.tensor(12345),
        }
    )


def main():
    """Saves what PANNs' training saves, a bare state dict and other objects, in both of torch's formats."""
    FOLDER.mkdir(exist_ok=True)
    state = tensors()
    sampler = {"indexes": np.arange(3), "pointer": 2}
    contents = {
        "panns": {"iteration": 600000, "model": state},
        "bare": state,
        "bfloat16": {"weight": torch.ones(2, dtype=torch.bfloat16)},
        "sampler": {"iteration": 600000, "model": state, "sampler": sampler},
        "list": [torch.ones(2)],
    }
    for name, content in contents.items():
        for format_name, is_zip in (("zip", True), ("legacy", False)):
            torch.save(content, FOLDER / f"{name}_{format_name}.pth", _use_new_zipfile_serialization=is_zip)
    loaded = torch.load(FOLDER / "bare_zip.pth")
    np.savez(FOLDER / "expected.npz", **{name: tensor.detach().numpy() for name, tensor in loaded.items()})


if __name__ == "__main__":
    main()
