import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from models import contrastive
from tests.models import slow_nt_xent
from tests.models.gradients import value_and_gradients


@settings(max_examples=25)
@given(
    clips=st.integers(2, 4),
    pairs_per_clip=st.integers(2, 4),
    block=st.integers(1, 10),
    decoupled=st.booleans(),
    temperature=st.sampled_from([0.02, 0.3]),
    seed=st.integers(0, 99),
)
def test_crops_of_one_clip_are_no_negatives(clips, pairs_per_clip, block, decoupled, temperature, seed):
    z = slow_nt_xent.projections(clips * pairs_per_clip, 3, seed)
    weights = np.random.default_rng(seed).normal(size=clips * pairs_per_clip).astype("float32")
    options = {"temperature": temperature, "decoupled": decoupled, "pairs_per_clip": pairs_per_clip}
    losses, logs = contrastive.nt_xent_with_logs(*z, **options, block=block)
    np.testing.assert_allclose(losses, slow_nt_xent.losses(*z, **options), rtol=1e-4, atol=1e-4)
    logs = {name: float(value) for name, value in logs.items()}
    assert logs == pytest.approx(slow_nt_xent.logs(*z, pairs_per_clip), rel=1e-5, abs=1e-5)
    _, gradients = value_and_gradients(lambda *z: ops.sum(weights * contrastive.nt_xent(*z, **options, block=block)), z)
    np.testing.assert_allclose(gradients, slow_nt_xent.gradient(z, weights, **options), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("decoupled", "crops"), [(False, 25), (True, 24)])
def test_loss_at_equal_similarities_counts_the_crops_of_other_clips(decoupled, crops):
    z = np.ones((15, 4))
    loss = contrastive.nt_xent(z, z, decoupled=decoupled, pairs_per_clip=3)
    np.testing.assert_allclose(loss, 2 * math.log(crops), rtol=1e-6)
