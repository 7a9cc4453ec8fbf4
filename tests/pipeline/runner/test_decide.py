import dataclasses

import pytest
from etils import epath

from components.trainer import Trainer
from pipeline import checksums, listings
from pipeline.metadata.executions import Artifact, CacheKey, Execution, Run, State
from pipeline.metadata.history import History
from pipeline.metadata.store import MetadataStore
from pipeline.runner import decide

KEY = CacheKey(
    stage="Trainer",
    version=1,
    libraries={"tensorflow": "2.17.1", "keras": "3.15.1"},
    config={"steps": 100},
    inputs={"examples": "b2"},
    external={},
)
CODE = {"models/dual.py": "a", "models/heads.py": "b", "models/layers.py": "c", "models/augment.py": "d"}


def why(*, code=CODE, state=State.COMPLETE, before=KEY, outputs=None, **changes):
    """Returns the decision upon a stage whose last execution had the key `before` and the code `CODE`."""
    last = Execution(cache_key=before, code=CODE, state=state, outputs=outputs or {})
    store = MetadataStore(":memory:", pipeline="test")
    run = Run(name="run", stages=("Trainer",))
    store.start_run(run)
    store.put(last, run=run)
    history = History(store, "Trainer")
    key = dataclasses.replace(KEY, **changes)
    return decide.decide(key, code=code, history=history, reports=Trainer.reports)


@pytest.mark.parametrize("is_of_earlier_version", [True, False])
def test_curves_may_be_edited_or_removed_but_not_checkpoints(tmp_path, is_of_earlier_version):
    """Earlier versions of the Trainer published them as content, which stays intact as long as nobody edits it."""
    folder = epath.Path(tmp_path / "1")
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "variables").write_text("1")
    (folder / "history.csv").write_text("step,loss\n1,2\n")
    reports = () if is_of_earlier_version else Trainer.reports
    digest = checksums.write(folder, staged=folder, reports=reports)
    listing = listings.describe(folder, reports=reports)
    published = Artifact(type="ModelRun", uri=str(folder), digest=digest, listing=listing)

    def is_intact():
        return decide.is_intact(published, reports=Trainer.reports)

    (folder / "history.csv").touch()
    assert is_intact()
    if not is_of_earlier_version:
        (folder / "history.csv").write_text("step;loss\n")
        assert is_intact()
        (folder / "history.csv").unlink()
        assert is_intact()
    (folder / "checkpoints" / "variables").write_text("2")
    assert not is_intact()


def cut(folder):
    (folder / "large").write_bytes(b"x" * 9)


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (lambda folder: (folder / "a" / "model").write_text("2"), ": a/model has other content"),
        (lambda folder: (folder / "a" / "model").unlink(), ": a/model is gone"),
        (lambda folder: (folder / "a" / ".DS_Store").touch(), ": a/.DS_Store was added"),
        (cut, ": a large file has another size"),
        (lambda folder: checksums.remove(folder) or cut(folder), ""),
        (lambda folder: folder.rename(folder.with_name("moved")), ": a/model is gone"),
    ],
)
def test_the_reason_names_the_file_that_is_altered(tmp_path, monkeypatch, alter, reason):
    monkeypatch.setattr(checksums, "CHEAP_BYTES", 8)
    folder = epath.Path(tmp_path / "1")
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "model").write_text("1")
    (folder / "large").write_bytes(b"x" * 10)
    digest, listing = checksums.write(folder, staged=folder), listings.describe(folder)

    def reason_now():
        return why(outputs={"model": Artifact(type="Model", uri=str(folder), digest=digest, listing=listing)}).why

    assert reason_now().startswith("nothing changed since")
    (folder / "history.csv").write_text("of people")
    alter(folder)
    assert reason_now() == f"published model missing or altered{reason}"


def test_differences_are_described_in_words():
    before = {"steps": 3000, "model": {"width": 0.125, "name": "a"}, "gone": 1}
    after = {"steps": 100, "model": {"width": 0.25, "name": "a"}, "new": None}
    expected = ["gone 1 -> unset", "model.width 0.125 -> 0.25", "new unset -> null", "steps 3000 -> 100"]
    assert decide.differences(before, after) == expected


def test_another_version_of_the_component_runs_it_again():
    assert why(version=2).why == "version 1 -> 2 of Trainer"


def test_another_version_of_a_library_runs_the_stage_again():
    libraries = {"tensorflow": "2.18.0", "keras": "3.15.1"}
    assert why(libraries=libraries).why == "tensorflow 2.17.1 -> 2.18.0"


def test_a_change_of_code_is_said_and_decides_nothing():
    decision = why(code={**CODE, "models/dual.py": "new"})
    assert decision.reuse is not None
    assert "code changed since; --force Trainer to rerun (models/dual.py changed)" in decision.why
    decision = why(code={"models/other.py": "new"})
    assert decision.why.endswith("(models/augment.py, models/dual.py, models/heads.py and 2 more changed)")


def test_an_interrupted_stage_says_whether_its_work_is_continued():
    assert why(state=State.CANCELED).why == "interrupted last time"
    changed = why(state=State.CANCELED, code={**CODE, "models/dual.py": "new"})
    assert changed.why == "interrupted last time; code changed since (models/dual.py changed)"
    assert why(state=State.FAILED, config={"steps": 200}).why == "failed last time, and config.steps 100 -> 200"


def test_what_an_interrupted_stage_continues_is_said_also_where_another_config_has_finished(tmp_path):
    store = MetadataStore(":memory:", pipeline="test")
    run = Run(name="run", stages=("Trainer",))
    store.start_run(run)
    longer = dataclasses.replace(KEY, config={"steps": 200})

    def now(code=CODE):
        return decide.decide(longer, code=code, history=History(store, "Trainer")).why

    store.put(Execution(cache_key=KEY, code=CODE, state=State.COMPLETE), run=run)
    assert now() == "config.steps 100 -> 200"
    store.put(Execution(cache_key=longer, code=CODE, state=State.CANCELED), run=run)
    assert now() == "config.steps 100 -> 200; interrupted last time"
    assert now({**CODE, "models/dual.py": "z"}).endswith(
        "; interrupted last time; code changed since (models/dual.py changed)"
    )
    store.put(Execution(cache_key=longer, code=CODE, state=State.FAILED), run=run)
    assert now() == "config.steps 100 -> 200; failed last time"
    store.put(Execution(cache_key=longer, code=CODE, state=State.COMPLETE), run=run)
    assert now().startswith("nothing changed since")


def test_records_of_an_earlier_diptych_have_no_version():
    before = dataclasses.replace(KEY, version=0, libraries={}, inputs={"examples": "b2", "anomalies": "w"})
    assert why(before=before).why == "last run by an earlier Diptych, which recorded no versions"


def test_a_changed_model_is_called_by_its_path():
    before = dataclasses.replace(KEY, external={"fm=/models/fm": "a", "schema": "b"})
    assert why(before=before, external={"fm=/models/fm": "c", "schema": "b"}).why == "/models/fm changed"
    assert why(before=before, external={"fm=/models/fm": "a", "schema": "d"}).why == "schema changed"
