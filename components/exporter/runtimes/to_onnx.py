"""Converts a model to ONNX."""

import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import onnx
import tf2onnx
from onnx import helper, numpy_helper
from onnxruntime import quantization

from components.embedding_info import NAME_IN_FILES, EmbeddingInfo
from components.exporter.runtimes import window
from models.dual import DualEncoder

_OPSET = 17
"""ONNX Runtime 1.12 and later execute it."""

_FEW_NUMBERS = 1024
"""Smaller constants stay in float32: they take no room, and many decide much, such as the shift of a norm."""


def convert(model: DualEncoder, *, precisions: Sequence[str], info: EmbeddingInfo) -> Iterator[bytes]:
    """Yields the content of `.onnx` files with the input `audio` and named outputs, of standard operations alone.

    Args:
        model: The model.
        precisions: See `variants.PRECISIONS`.
        info: Describes the files; it lies in a file's metadata, under the name `embedding_info`.
    """
    embed = window.module(model).embed
    converted, _ = tf2onnx.convert.from_function(embed, input_signature=embed.input_signature, opset=_OPSET)
    converted.graph.name = "diptych"  # The converter's name counts the functions that this process has traced.
    for precision in precisions:
        of_precision = _IN_PRECISION[precision](converted)
        helper.set_model_props(of_precision, {NAME_IN_FILES: info.to_json()})
        yield of_precision.SerializeToString()


def _stored_in_16_bits(model: onnx.ModelProto) -> onnx.ModelProto:
    """Stores large constants as float16. A runtime converts them back once, when it loads the file."""
    changed = _copy(model)
    casts = []
    for constant in changed.graph.initializer:
        if constant.data_type != onnx.TensorProto.FLOAT or np.prod(constant.dims) < _FEW_NUMBERS:
            continue
        name, values = constant.name, numpy_helper.to_array(constant)
        constant.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_fp16"))
        casts.append(helper.make_node("Cast", [f"{name}_fp16"], [name], to=onnx.TensorProto.FLOAT))
    _put_first(casts, changed.graph)
    return changed


def _in_8_bits(model: onnx.ModelProto) -> onnx.ModelProto:
    """Makes integers of the factors of products and of the weights of convolutions; stores the rest in 16 bits.

    Products are those with a constant on the right: not those of the front ends, see `models.products`. ONNX Runtime
    takes five times as long for a convolution of integers as for one of floats, so it gets floats.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "model.onnx")
        logging.disable(logging.WARNING)  # It advises to merge operations first, which the runtime does itself.
        try:
            # 7 bits, because processors without VNNI add pairs of products in 16 bits.
            quantization.quantize_dynamic(
                model, file, op_types_to_quantize=["MatMul"], per_channel=True, reduce_range=True
            )
        finally:
            logging.disable(logging.NOTSET)
        changed = onnx.load(file)
    _store_kernels_in_8_bits(changed.graph)
    return _stored_in_16_bits(changed)


def _store_kernels_in_8_bits(graph: onnx.GraphProto) -> None:
    constants = {constant.name: constant for constant in graph.initializer}
    nodes = []
    for name in sorted({node.input[1] for node in graph.node if node.op_type == "Conv"} & constants.keys()):
        values = numpy_helper.to_array(constants[name])  # (out, in, ...), a scale for each output channel
        scales = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True) / 127
        integers = np.round(np.divide(values, scales, out=np.zeros_like(values), where=scales > 0)).astype(np.int8)
        constants[name].CopyFrom(numpy_helper.from_array(integers, f"{name}_int8"))
        graph.initializer.append(numpy_helper.from_array(scales.ravel(), f"{name}_scale"))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_int8", f"{name}_scale"], [name], axis=0))
    _put_first(nodes, graph)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _put_first(nodes: Sequence[onnx.NodeProto], graph: onnx.GraphProto) -> None:
    """Adds nodes to a graph, in which a node may only use what stands before it."""
    others = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *others])


_IN_PRECISION: Mapping[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "fp32": _copy,
    "fp16": _stored_in_16_bits,
    "int8": _in_8_bits,
}
