"""How much memory the tensors of a traced graph take at once, found without running it.

The operations of a graph are gone through in the order in which they were traced. A tensor takes its memory when its
operation runs, and gives it back after the last operation that reads it: an activation that the backward pass needs
lives from the forward pass until then.
"""

import collections
from collections.abc import Sequence

import tensorflow as tf

# Their result is their input, in another shape or under another name.
_ALIASES = frozenset(
    {"Identity", "IdentityN", "Reshape", "ExpandDims", "Squeeze", "StopGradient", "PreventGradient", "ReadVariableOp"}
)
# Their result may take the memory of an input that nobody else reads.
_IN_PLACE = frozenset(
    {"AddN", "AddV2", "BiasAdd", "Cast", "Exp", "Log", "Maximum", "Mul", "Neg", "RealDiv", "Relu", "ReluGrad", "Rsqrt"}
    | {"SelectV2", "Sqrt", "Square", "Sub"}
)
_WITHOUT_MEMORY = frozenset({"Const", "Placeholder"})  # Inputs are counted by who makes them; constants are small.


def peak_bytes(graph: tf.Graph, outputs: Sequence[tf.Tensor]) -> int:
    """Returns the most bytes that the tensors of a graph take at once.

    Args:
        graph: With static shapes. A tensor of unknown shape counts nothing.
        outputs: Tensors of the graph that live to the end.
    """
    operations = graph.get_operations()
    memory_of = _shared_memory(operations)
    last_reader: dict[str, int] = {}  # Name of a tensor with memory of its own -> index of the operation.
    for index, operation in enumerate(operations):
        for tensor in operation.inputs:
            last_reader[memory_of[tensor.name].name] = index
    for tensor in outputs:
        last_reader[memory_of[tensor.name].name] = len(operations)
    freed_by: dict[int, int] = collections.defaultdict(int)
    live = peak = 0
    for index, operation in enumerate(operations):
        taken = 0
        for tensor in operation.outputs:
            if memory_of[tensor.name] is tensor and tensor.name in last_reader:
                taken += _bytes(tensor)
                freed_by[last_reader[tensor.name]] += _bytes(tensor)
        freed = freed_by[index]
        peak = max(peak, live + (max(taken - freed, 0) if operation.type in _IN_PLACE else taken))
        live += taken - freed
    return peak


def _shared_memory(operations: Sequence[tf.Operation]) -> dict[str, tf.Tensor]:
    """Returns the tensor whose memory each tensor uses, by the tensor's name: its own, or that of an earlier one."""
    memory_of: dict[str, tf.Tensor] = {}
    casts: dict[tuple[str, tf.DType], tf.Tensor] = {}  # TensorFlow computes equal casts once.
    for operation in operations:
        for index, tensor in enumerate(operation.outputs):
            memory_of[tensor.name] = tensor
            if operation.type in _ALIASES:
                memory_of[tensor.name] = memory_of[operation.inputs[index].name]
            elif operation.type == "Cast":
                key = (memory_of[operation.inputs[0].name].name, tensor.dtype)
                memory_of[tensor.name] = casts.setdefault(key, tensor)
    return memory_of


def _bytes(tensor: tf.Tensor) -> int:
    if tensor.op.type in _WITHOUT_MEMORY or not tensor.shape.is_fully_defined() or not tensor.dtype.size:
        return 0
    return tensor.dtype.size * tensor.shape.num_elements()
