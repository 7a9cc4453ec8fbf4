"""Works out from the flags of a run which stages it goes through."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

from components.errors import UserError
from pipeline.runner.graph import Pipeline

_FORCE = "--force"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """The stages of a run.

    Attributes:
        stages: Names of the stages that the run goes through.
        frozen: Those among them whose last outputs are taken without checks: they come before `--from`, or `--only`
            does not name them and names what reads from them.
        forced_by: Name of a stage -> the flag that makes it run even if nothing changed.
        only: The stages that `--only` names.
    """

    stages: frozenset[str]
    frozen: frozenset[str]
    forced_by: Mapping[str, str]
    only: frozenset[str] = frozenset()

    @property
    def frozen_by(self) -> str:
        """The flag because of which the last outputs of stages are taken."""
        return "--only" if self.only else "--from"

    @property
    def excluded_by(self) -> str:
        """The flag because of which the run does not go through the other stages."""
        return "--only" if self.only else "--until"


def select(
    pipeline: Pipeline,
    *,
    force: Sequence[str],
    from_stage: str | None,
    until_stage: str | None,
    only: Sequence[str] = (),
) -> Selection:
    """Returns the stages that the flags ask for; see `LocalRunner.run` for their meaning.

    Raises:
        UserError: A flag names a stage that does not exist, or the flags contradict each other.
    """
    # A script may pass an empty value, which means that the flag is not given.
    from_stage, until_stage = from_stage or None, until_stage or None
    forced = [pipeline.find(name, flag="--force") for name in force]
    if from_stage is not None:
        from_stage = pipeline.find(from_stage, flag="--from")
    if only:
        return _select_only(pipeline, only, forced=forced, others={"--from": from_stage, "--until": until_stage})
    stages = frozenset(pipeline.stages)
    if until_stage is not None:
        until_stage = pipeline.find(until_stage, flag="--until")
        stages = frozenset(pipeline.upstream(until_stage))

    for name in forced if from_stage is None else [*forced, from_stage]:
        if name not in stages:
            raise UserError(f"--until {until_stage} excludes {name}, which another flag asks for.")

    forced_by: dict[str, str] = {}
    if from_stage is not None:
        for name in pipeline.downstream(from_stage):
            forced_by[name] = f"--from {from_stage}"
    for name in forced:
        forced_by[name] = _FORCE
    frozen = frozenset() if from_stage is None else stages - set(forced_by)
    return Selection(stages=stages, frozen=frozen, forced_by=forced_by)


def _select_only(
    pipeline: Pipeline, only: Sequence[str], *, forced: Sequence[str], others: Mapping[str, str | None]
) -> Selection:
    """Returns the stages that `--only` names, and those that they read from."""
    for flag, stage in others.items():
        if stage is not None:
            raise UserError(f"--only names all stages that run, and {flag} {stage} others: leave out one of the two.")
    chosen = frozenset(pipeline.find(name, flag="--only") for name in only)
    for name in forced:
        if name not in chosen:
            raise UserError(f"--only leaves out {name}, which --force asks for: name it there, too, or leave out one.")
    sources = frozenset(
        channel.stage for node in pipeline.nodes if node.name in chosen for channel in node.inputs.values()
    )
    return Selection(
        stages=chosen | sources, frozen=sources - chosen, forced_by=dict.fromkeys(forced, _FORCE), only=chosen
    )


def check_components(pipeline: Pipeline, selected: Selection) -> None:
    """Checks the config of all stages of a run that are not frozen, before the first one runs.

    Raises:
        UserError: A stage would fail.
    """
    for node in pipeline.nodes:
        if node.name in selected.stages - selected.frozen:
            node.component.check()


def hint_to_continue(pipeline: Pipeline, selected: Selection, *, finished: Collection[str]) -> str:
    """Returns the flags that continue a run that ended early, where its own would run finished stages once more.

    Args:
        pipeline: The pipeline.
        selected: The stages of the run.
        finished: Names of the stages that it has gone through.

    Returns:
        A sentence, or "" if no flag makes a finished stage run again.
    """
    forced = [name for name in pipeline.stages if name in selected.stages and name in selected.forced_by]
    again = [name for name in forced if name in finished]
    if not again:
        return ""
    given = " ".join(dict.fromkeys(_flag(name, selected.forced_by[name]) for name in forced))
    left = [name for name in forced if name not in finished]
    is_from = any(flag != _FORCE for flag in selected.forced_by.values())
    flags = _flags_of_the_rest(pipeline, left, is_from=is_from)
    way_out = f"give {flags} in place of {given}" if flags else f"leave out {given}"
    return f"To continue, {way_out}: {' and '.join(again)} finished, and would run again."


def _flags_of_the_rest(pipeline: Pipeline, left: Sequence[str], *, is_from: bool) -> str:
    """Returns the flags that make stages run.

    Args:
        pipeline: The pipeline.
        left: The stages, in the order of the pipeline.
        is_from: Whether `--from` is among the flags of the run, so that the last outputs of all other stages are to be
            taken still, whatever has changed.
    """
    if not left or not is_from:
        return " ".join(_flag(name, _FORCE) for name in left)
    first, *others = left
    following = pipeline.downstream(first)
    return " ".join([f"--from {first}", *(_flag(name, _FORCE) for name in others if name not in following)])


def _flag(stage: str, forced_by: str) -> str:
    """Returns a flag as it is typed."""
    return f"{_FORCE} {stage}" if forced_by == _FORCE else forced_by
