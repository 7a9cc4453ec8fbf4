import pytest

from components.trainer.validation_state import ValidationState


@pytest.mark.parametrize(
    ("state", "saved"),
    [
        (ValidationState(), {"step": None, "score": None, "metric": None, "waited": 0, "looked": 0}),
        (
            ValidationState(best_step=300, best_score=0.5, metric="loss", validations_since=2, last_validated_step=500),
            {"step": 300, "score": 0.5, "metric": "loss", "waited": 2, "looked": 500},
        ),
    ],
)
def test_the_keys_of_old_checkpoints_stay(state, saved):
    assert state.to_json() == saved
    assert ValidationState.from_json(saved) == state


def test_checkpoints_of_versions_without_the_metric_load():
    saved = {"step": 300, "score": 0.5, "waited": 2, "looked": 500}
    state = ValidationState.from_json(saved)
    assert (state.best_step, state.best_score, state.metric) == (300, 0.5, None)


def test_only_scores_of_the_same_metric_are_compared():
    state = ValidationState(best_step=300, best_score=-6.1, metric="loss", validations_since=2, last_validated_step=500)
    assert state.comparable_with("loss") is state
    assert state.comparable_with("probe_mAP") == ValidationState(last_validated_step=500)
    assert ValidationState().comparable_with("probe_mAP") == ValidationState()
