import pytest

from components.trainer.validation_state import ValidationState


@pytest.mark.parametrize(
    ("state", "saved"),
    [
        (ValidationState(), {"step": None, "score": None, "waited": 0, "looked": 0}),
        (
            ValidationState(best_step=300, best_score=0.5, validations_since=2, last_validated_step=500),
            {"step": 300, "score": 0.5, "waited": 2, "looked": 500},
        ),
    ],
)
def test_the_keys_of_old_checkpoints_stay(state, saved):
    assert state.to_json() == saved
    assert ValidationState.from_json(saved) == state
