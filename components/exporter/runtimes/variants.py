"""The files for other runtimes: a runtime and the precision of the weights. It imports nothing heavy."""

import dataclasses
import importlib.util
from collections.abc import Iterable, Mapping
from typing import Literal

FOLDER = "runtimes"
"""Folder of the files, inside the SavedModel's folder."""

TABLE, FIGURES = f"{FOLDER}/README.md", f"{FOLDER}/parity.json"
"""How the files compare with the SavedModel: for people, and as figures."""

PRECISIONS = ("fp32", "fp16", "int8")
"""fp16: weights are stored in 16 bits, and computed with in 32. int8: the weights of large products and convolutions
are integers, and their inputs become integers while the model runs ("dynamic"). The front ends stay in float32."""

Format = Literal["litert", "litert_fp32", "litert_fp16", "litert_int8", "onnx", "onnx_fp32", "onnx_fp16", "onnx_int8"]
"""A runtime, for all its precisions, or one file."""

_SUFFIXES = {"litert": ".tflite", "onnx": ".onnx"}

ONNX_WRITERS = ("onnx", "onnxruntime", "tf2onnx")
"""Packages that decide what is in an `.onnx` file."""

_PACKAGES: Mapping[str, Mapping[str, str]] = {
    "litert": {"ai_edge_litert": "ai-edge-litert"},
    "onnx": {name: name for name in ONNX_WRITERS},
}
"""Runtime -> module that the export needs -> name of the package that has it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """A file for another runtime.

    Attributes:
        runtime: "litert" or "onnx".
        precision: One of `PRECISIONS`.
    """

    runtime: str
    precision: str

    @property
    def name(self) -> str:
        """Its name in tables and checks, e.g. "litert_fp16"."""
        return f"{self.runtime}_{self.precision}"

    @property
    def file(self) -> str:
        """Its file, relative to the SavedModel's folder."""
        return f"{FOLDER}/{self.name}{_SUFFIXES[self.runtime]}"


def parse(formats: Iterable[str]) -> list[Variant]:
    """Returns the files that `exporter.formats` asks for, each once, by runtime."""
    asked = set(formats)
    every = [Variant(runtime=runtime, precision=precision) for runtime in _SUFFIXES for precision in PRECISIONS]
    return [variant for variant in every if asked & {variant.runtime, variant.name}]


def missing_packages(variants: Iterable[Variant]) -> list[str]:
    """Returns the names of the packages that are needed to write and check these files, and are not installed."""
    needed = {module: name for variant in variants for module, name in _PACKAGES[variant.runtime].items()}
    return [name for module, name in needed.items() if importlib.util.find_spec(module) is None]
