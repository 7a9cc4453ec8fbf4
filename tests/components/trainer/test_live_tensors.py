import tensorflow as tf

from components.trainer import live_tensors


def _graph(function, *shapes):
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    traced = tf.function(function, autograph=False).get_concrete_function(*specs)
    return traced.graph, traced.outputs


def test_a_tensor_lives_from_its_operation_to_its_last_reader():
    def function(x):
        first = tf.concat([x, x], axis=0)  # 2,000 bytes, read last
        second = tf.concat([first, first], axis=0)  # 4,000 bytes, read once
        return tf.reduce_sum(second) + tf.reduce_sum(first)  # 4 bytes beside the two

    assert live_tensors.peak_bytes(*_graph(function, (250,))) == 6004


def test_a_reshaped_tensor_and_equal_casts_take_no_memory_of_their_own():
    def function(x):
        doubled = tf.concat([x, x], axis=0)  # 2,000 bytes
        halves = [tf.cast(tf.reshape(doubled, (2, -1)), tf.bfloat16) for _ in range(3)]  # 1,000 bytes, once
        return tf.concat([tf.reshape(half, (-1,)) for half in halves], axis=0)  # 3,000 bytes

    assert live_tensors.peak_bytes(*_graph(function, (250,))) == 4000
