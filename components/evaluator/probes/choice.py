"""Chooses the probe that a set of examples allows."""

from typing import Literal, NamedTuple

from beam_jobs.examples import ExamplesInfo
from components.errors import UserError

Probe = Literal["linear", "mlp"]


class ProbeChoice(NamedTuple):
    """The probe to run.

    Attributes:
        probe: Name of the probe, or None to run no probe.
        note: The reason why no probe runs, or None.
    """

    probe: Probe | None
    note: str | None = None


def choose_probe(requested: Literal["auto", "linear", "mlp", "none"], *, info: ExamplesInfo) -> ProbeChoice:
    """Chooses a probe.

    Args:
        requested: The field `probe` of the config.
        info: The examples.

    Raises:
        UserError: The examples do not allow the probe that the config names.
    """
    has_train_and_eval = "train" in info.splits and "eval" in info.splits
    if requested == "linear":
        if not info.has_folds:
            raise UserError("evaluator.probe is 'linear', but these examples have no folds: set it to 'mlp' or 'auto'.")
        return ProbeChoice("linear")
    if requested == "mlp":
        if not has_train_and_eval or not info.label_names:
            raise UserError(
                "evaluator.probe is 'mlp', which needs labeled clips in the splits train and eval, and these examples "
                "lack them: set it to 'auto'."
            )
        return ProbeChoice("mlp")
    if requested == "none":
        return ProbeChoice(None, "evaluator.probe is 'none', so the embedding was not probed")
    if not info.label_names:
        return ProbeChoice(None, "the examples have no labels, so the embedding was not probed")
    if info.has_folds:
        return ProbeChoice("linear")
    if has_train_and_eval:
        return ProbeChoice("mlp")
    return ProbeChoice(
        None, "the examples have no folds and not both of the splits train and eval, so nothing could be probed"
    )
