import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from models import contrastive
from tests.models import slow_nt_xent
from tests.models.gradients import value_and_gradients
from tests.reference import fixture, relative_error

on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.function")
BATCHES = {
    "pairs": st.integers(1, 9),
    "dim": st.integers(2, 6),
    "block": st.integers(1, 10),
    "seed": st.integers(0, 99),
}


@given(**BATCHES, temperature=st.floats(0.05, 2.0))
def test_equals_the_slow_reference(pairs, dim, block, seed, temperature):
    z_a, z_b = slow_nt_xent.projections(pairs, dim, seed)
    losses = contrastive.nt_xent(z_a, z_b, temperature=temperature, block=block)
    np.testing.assert_allclose(losses, slow_nt_xent.losses(z_a, z_b, temperature), rtol=1e-4, atol=1e-5)


@given(**BATCHES)
def test_gradient_of_a_weighted_sum_equals_the_slow_reference(pairs, dim, block, seed):
    z = slow_nt_xent.projections(pairs, dim, seed)
    weights = np.random.default_rng(seed).normal(size=pairs).astype("float32")
    _, gradients = value_and_gradients(
        lambda *z: ops.sum(weights * contrastive.nt_xent(*z, temperature=0.3, block=block)), z
    )
    np.testing.assert_allclose(gradients, slow_nt_xent.gradient(z, weights, 0.3), rtol=1e-3, atol=1e-4)


@given(**{**BATCHES, "pairs": st.integers(2, 9)}, temperature=st.sampled_from([0.02, 0.1, 1.0]))
def test_decoupled_equals_the_slow_reference(pairs, dim, block, seed, temperature):
    _check_decoupled(pairs, dim, block, seed, temperature)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.02, 0.1, 1.0])
@given(**{**BATCHES, "pairs": st.integers(2, 9)})
def test_decoupled_equals_the_slow_reference_at_each_temperature(pairs, dim, block, seed, temperature):
    _check_decoupled(pairs, dim, block, seed, temperature)


def _check_decoupled(pairs, dim, block, seed, temperature):
    z = slow_nt_xent.projections(pairs, dim, seed)
    weights = np.random.default_rng(seed).normal(size=pairs).astype("float32")

    def loss(*z):
        return contrastive.nt_xent(*z, temperature=temperature, decoupled=True, block=block)

    np.testing.assert_allclose(loss(*z), slow_nt_xent.losses(*z, temperature, decoupled=True), rtol=1e-4, atol=1e-4)
    _, gradients = value_and_gradients(lambda *z: ops.sum(weights * loss(*z)), z)
    expected = slow_nt_xent.gradient(z, weights, temperature, decoupled=True)
    np.testing.assert_allclose(gradients, expected, rtol=2e-3, atol=2e-4 / temperature)


@pytest.mark.parametrize("temperature", [0.02, 0.2])
def test_the_temperature_may_be_a_tensor(temperature):
    z = slow_nt_xent.projections(6, 4)
    number, of_number = value_and_gradients(lambda *z: ops.sum(contrastive.nt_xent(*z, temperature=temperature)), z)
    tensor = ops.convert_to_tensor(temperature)
    value, of_tensor = value_and_gradients(lambda *z: ops.sum(contrastive.nt_xent(*z, temperature=tensor)), z)
    np.testing.assert_allclose(value, number, rtol=1e-5)
    assert relative_error(np.array(of_tensor), np.array(of_number)) < 1e-4


@pytest.mark.parametrize("temperature", [0.01, 0.0299, 0.03, 0.05, 5.0])
def test_the_gradient_holds_for_crops_far_from_all_others_at_any_temperature(temperature):
    """Branch B of the last clip is opposite to all others, so its denominator may be as small as exp(-1 / tau)."""
    z = slow_nt_xent.projections(6, 8)
    z[:, :5] = 0.05 * z[:, :5] + np.eye(8)[0]
    z[1, 5] = -np.eye(8)[0]
    weights = np.arange(1, 7, dtype="float32")
    _, gradients = value_and_gradients(
        lambda *z: ops.sum(weights * contrastive.nt_xent(*z, temperature=temperature)), z
    )
    assert relative_error(gradients, slow_nt_xent.gradient(z, weights, temperature)) < 1e-3


@pytest.mark.parametrize("case", "abcde")
@pytest.mark.parametrize("block", [None, 3])
def test_loss_and_gradient_equal_the_float64_reference(case, block):
    vectors = {key[2:]: value for key, value in fixture("ntxent").items() if key.startswith(f"{case}/")}
    z = [vectors[name] for name in "uv"]
    options = {"temperature": float(vectors["tau"]), "block": block}
    loss, logs = contrastive.nt_xent_with_logs(*z, **options)
    anchors = vectors["per_anchor"]
    np.testing.assert_allclose(loss, anchors[: len(loss)] + anchors[len(loss) :], rtol=1e-5, atol=1e-8)
    assert float(logs["top1"]) == pytest.approx(vectors["top1_acc"])
    _, gradients = value_and_gradients(lambda *z: ops.mean(contrastive.nt_xent(*z, **options)) / 2, z)
    for gradient, name in zip(gradients, "uv", strict=True):
        expected = vectors[f"grad_{name}_mean_over_anchors"]
        if np.abs(expected).max() > 0:
            assert relative_error(gradient[: len(expected)], expected) < 1e-5
        else:  # A single pair has no negatives, so its gradient is 0.
            np.testing.assert_allclose(gradient, 0.0, atol=1e-12)


@pytest.mark.parametrize("pairs", [2, 16, 256])
def test_loss_at_equal_similarities_is_twice_the_log_of_the_number_of_other_crops(pairs):
    loss, logs = contrastive.nt_xent_with_logs(np.ones((pairs, 4)), np.ones((pairs, 4)), block=100)
    np.testing.assert_allclose(loss, 2 * math.log(2 * pairs - 1), rtol=1e-6)
    assert float(logs["top1"]) == 0.0, "a tie must not count"


@pytest.mark.parametrize("dim", [5, 100, 512])
def test_top1_of_a_collapsed_batch_is_zero(dim):
    z = np.repeat(slow_nt_xent.projections(1, dim), 333, axis=1)  # The cosines differ by rounding only.
    assert float(contrastive.nt_xent_with_logs(*z[[0, 0]])[1]["top1"]) == 0.0


@given(**BATCHES | {"pairs": st.integers(2, 9)})
def test_logs_equal_the_slow_reference(pairs, dim, block, seed):
    z_a, z_b = slow_nt_xent.projections(pairs, dim, seed)
    _, logs = contrastive.nt_xent_with_logs(z_a, z_b, block=block)
    logs = {name: float(value) for name, value in logs.items()}
    assert logs == pytest.approx(slow_nt_xent.logs(z_a, z_b), rel=1e-5, abs=1e-5)


def test_logs_of_well_separated_pairs():
    z = np.eye(8, dtype="float32")
    _, logs = contrastive.nt_xent_with_logs(z, z)
    assert {name: float(value) for name, value in logs.items()} == pytest.approx(
        {"top1": 1.0, "positive_similarity": 1.0, "negative_similarity": 0.0, "alignment": 0.0, "uniformity": -4.0}
    )


@pytest.mark.parametrize("pairs", [1, 3])
def test_logs_of_a_single_clip_are_finite(pairs):
    _, logs = contrastive.nt_xent_with_logs(*slow_nt_xent.projections(pairs, 4), pairs_per_clip=pairs)
    assert all(np.isfinite(float(value)) for value in logs.values())
    assert [float(logs[name]) for name in ("top1", "uniformity")] == [1.0, 0.0]


def test_logs_carry_no_gradient():
    z = slow_nt_xent.projections(5, 3)
    _, gradients = value_and_gradients(lambda *z: sum(contrastive.nt_xent_with_logs(*z, block=2)[1].values()), z)
    np.testing.assert_array_equal(gradients, np.zeros(z.shape))


@pytest.mark.parametrize("block", [None, 2])
def test_a_zero_projection_is_finite(block):
    z = [np.zeros((3, 4), "float32"), np.ones((3, 4), "float32")]
    _, gradients = value_and_gradients(lambda *z: ops.sum(contrastive.nt_xent(*z, block=block)), z)
    assert np.isfinite(contrastive.nt_xent(*z, block=block)).all()
    assert np.isfinite(gradients).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_projections_are_compared_in_float32(dtype):
    z = [ops.cast(x, dtype) for x in slow_nt_xent.projections(64, 32)]
    losses = contrastive.nt_xent(*z)
    assert keras.backend.standardize_dtype(losses.dtype) == "float32"
    expected = slow_nt_xent.losses(*(np.asarray(ops.cast(x, "float32")) for x in z))
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


@pytest.mark.parametrize("block", [1, 7, 32, 99, 100])
def test_the_block_size_does_not_change_loss_and_gradient(block):
    z = slow_nt_xent.projections(100, 16)

    def weighted_sum(block):
        return lambda *z: ops.sum(np.arange(100, dtype="float32") * contrastive.nt_xent(*z, block=block))

    value, gradients = value_and_gradients(weighted_sum(block), z)
    expected, expected_gradients = value_and_gradients(weighted_sum(None), z)
    assert value == pytest.approx(expected, rel=1e-6)
    assert relative_error(gradients, expected_gradients) < 1e-6


def _compiled(*, block, pairs=None, dim=16, **options):
    """Returns a tf.function of the losses, logs and gradients, by default for any number of pairs."""
    import tensorflow as tf  # only here, because the other tests also run on JAX

    spec = tf.TensorSpec((pairs, dim))

    @tf.function(input_signature=[spec, spec], **options)
    def compute(z_a, z_b):
        with tf.GradientTape() as tape:
            tape.watch([z_a, z_b])
            losses, logs = contrastive.nt_xent_with_logs(z_a, z_b, block=block)
        return losses, logs, tape.gradient(losses, [z_a, z_b])

    return compute


@on_tensorflow
@pytest.mark.parametrize("options", [{}, {"pairs": 100, "jit_compile": True}], ids=["any batch", "XLA"])
@pytest.mark.parametrize("block", [None, 32])
def test_compiled_equals_eager(block, options):
    z = slow_nt_xent.projections(100, 16)
    losses, logs, gradients = _compiled(block=block, **options)(*z)
    expected, expected_logs = contrastive.nt_xent_with_logs(*z)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert {name: float(value) for name, value in logs.items()} == pytest.approx(
        {name: float(value) for name, value in expected_logs.items()}, rel=1e-5, abs=1e-6
    )
    _, expected_gradients = value_and_gradients(lambda *z: ops.sum(contrastive.nt_xent(*z)), z)
    assert relative_error(gradients, expected_gradients) < 1e-5


@on_tensorflow
@pytest.mark.parametrize(("block", "largest"), [(8, 4 * 8 * 256), (None, 4 * 256 * 256)])
def test_no_tensor_is_larger_than_the_similarities_of_a_block(block, largest):
    graph = _compiled(block=block, pairs=256, dim=4).get_concrete_function().graph.as_graph_def(add_shapes=True)
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    shapes = [shape for node in nodes for shape in node.attr["_output_shapes"].list.shape]
    assert max(math.prod(dim.size for dim in shape.dim) for shape in shapes if not shape.unknown_rank) == largest


@on_tensorflow
def test_two_exponentials_of_a_similarity_for_the_loss_and_one_for_its_gradient():
    """Each is a pass over all similarities, and they take most of the time that the matrix products leave."""
    graph = _compiled(block=None, pairs=256, dim=4).get_concrete_function().graph.as_graph_def(add_shapes=True)
    exponentials = [node for node in graph.node if node.op == "Exp"]
    computed = sum(
        math.prod(dim.size for dim in node.attr["_output_shapes"].list.shape[0].dim) for node in exponentials
    )
    similarities = 4 * 256 * 256
    # The loss needs the sum of the negatives and, of the anchor's own branch, the potential.
    assert computed < (1 + 1 / 2 + 1) * similarities * 1.02


@pytest.mark.parametrize("temperature", [1e-6, 1e6])
@pytest.mark.parametrize("decoupled", [False, True])
def test_loss_and_gradient_are_finite_at_the_temperatures_that_the_config_allows(temperature, decoupled):
    z = [np.random.default_rng(seed).normal(size=(16, 8)).astype("float32") for seed in (0, 1)]
    value, gradients = value_and_gradients(
        lambda *z: ops.sum(contrastive.nt_xent(*z, temperature=temperature, decoupled=decoupled)), z
    )
    assert np.isfinite(value)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
