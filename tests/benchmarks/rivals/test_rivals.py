import json
import sys

import pytest
from scipy import stats

from components.errors import UserError
from models.compatibility import embedding_dim
from tests import corpora
from tests.benchmarks.rivals import __main__ as command
from tests.benchmarks.rivals import cells, table
from tests.benchmarks.rivals.contenders import CONTENDERS


def test_wide_rivals_have_as_many_dimensions_as_both_encoders_of_diptych():
    dims = {name: embedding_dim(contender.config(seed=0).model) for name, contender in CONTENDERS.items()}
    assert {dims[name] for name in ("simclr", "cola", "byol_a")} == {dims["diptych"]}
    assert {dims[f"{name}_wide"] for name in ("simclr", "cola", "byol_a", "untrained")} == {2 * dims["diptych"]}


@pytest.mark.parametrize("name", ["simclr", "simclr_wide"])
def test_simclr_augments_both_crops_as_diptych_does_its_log_mel_crops(name):
    model = CONTENDERS[name].config(seed=0).model
    augmented = CONTENDERS["diptych"].config(seed=0).model.augment_b
    assert (model.augment_a, model.augment_b) == (augmented, augmented)


def test_cells_go_seed_by_seed_and_a_baseline_has_one():
    planned = command.plan(["cola", "mfcc_mean_std"], seeds=[0, 1], changes={"cola": ["steps=7"]}, cpu_minutes=1)
    assert [(cell.name, cell.seed, cell.changes) for cell in planned] == [
        ("cola", 0, ("steps=7",)),
        ("mfcc_mean_std", 0, ()),
        ("cola", 1, ("steps=7",)),
    ]


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("colo.learning_rate=1", "'colo.learning_rate=1' names no rival"),
        ("cola.learning_rat=1", "did you mean learning_rate"),
        ("cola.learning_rate=much", "learning_rate"),
    ],
)
def test_a_wrong_change_is_named(assignment, message):
    with pytest.raises(UserError, match=message):
        command.plan(["cola"], seeds=[0], changes=command.changes_by_rival([assignment]), cpu_minutes=1)


def test_a_finished_cell_is_kept_and_one_of_other_settings_is_not_taken_for_it(tmp_path, monkeypatch):
    started = []

    def measured(module, cell, examples):
        started.append(json.loads(cell))
        return {"number": len(started)}

    monkeypatch.setattr(cells.measuring, "in_a_fresh_process", measured)
    cell = {"name": "cola", "seed": 1, "changes": (), "cpu_minutes": 2.0}
    others = [{}, {}, {"cpu_minutes": 3.0}, {"changes": ("learning_rate=0.001",)}, {"seed": 2}, {"name": "byol_a"}, {}]
    numbers = [cells.Cell(**{**cell, **other}).result(tmp_path)["number"] for other in others]
    assert numbers == [1, 1, 2, 3, 4, 5, 1]


def result_with(*linear):
    return [
        {
            "steps": 100 + seed,
            "passes": 3.2,
            "scores": {"log_mel": {"dims": 64, "linear": value, "knn": 0.3, "few_shot": 0.2}},
        }
        for seed, value in enumerate(linear)
    ]


def test_scores_are_averaged_over_the_seeds():
    (means,) = command.summarize(result_with(0.5, 0.6, 0.7)).values()
    assert means["dims"] == 64
    assert means["linear"] == pytest.approx((0.6, 0.1))
    assert command.summarize(result_with(0.5))["log_mel"]["linear"] == (0.5, None)


def result_of(**contenders):
    return {
        "corpus": "ESC-50",
        "clips": 2000,
        "cpu_minutes": 14.0,
        "batch_size": 64,
        "crop_seconds": 2.5,
        "seeds": [0, 1, 2],
        "machine": {"cores": 1, "cpu": "CPU", "tensorflow": "2.17.1"},
        "date": "2026-01-01",
        "contenders": {
            name: {
                "title": name,
                "changes": ["learning_rate=0.001"] if name == "cola" else [],
                "means": command.summarize(results),
                "by_seed": {str(seed): result for seed, result in enumerate(results)},
            }
            for name, results in contenders.items()
        },
    }


def test_the_table_has_a_row_for_each_embedding():
    rendered = table.render(result_of(cola=result_with(0.5, 0.6, 0.7)))
    assert "| cola | log-mel | 64 | 60.0 ± 10.0 % | 30.0 ± 0.0 % | 20.0 ± 0.0 % | 3 | 101 | 3 |" in rendered
    assert "crops of 2.5 s, with `--set` `cola.learning_rate=0.001`." in " ".join(rendered.split())
    assert "Measured on 1 core (CPU)" in " ".join(rendered.split())
    assert "ahead" not in rendered


def test_differences_are_taken_over_the_seeds_that_both_have():
    ours = result_with(0.6, 0.7, 0.7)
    for result in ours:
        result["scores"]["both"] = result["scores"].pop("log_mel")
    untrained = [{"scores": result["scores"]} for result in result_with(0.1, 0.1)]
    rendered = table.render(
        result_of(diptych=ours, cola=result_with(0.5, 0.5), simclr=result_with(0.6), untrained=untrained)
    )
    low, high = stats.t.interval(0.95, 1, loc=15, scale=stats.sem([10, 20]))
    linear = f"+15.0 ({low:+.1f} to {high:+.1f}) points"
    same = "+0.0 (+0.0 to +0.0) points"
    ahead = rendered[rendered.index("are ahead") :]
    assert f"| cola | {linear} | {same} | {same} |" in ahead
    assert "simclr" not in ahead  # One seed has no interval.
    assert "untrained" not in ahead


@pytest.mark.slow
def test_the_command_trains_and_scores_all_and_continues(tmp_path, monkeypatch, small):
    data, results = corpora.esc50(tmp_path / "esc50", clips=20), tmp_path / "results"
    trained = ["diptych", "simclr", "cola", "byol_a", "untrained"]
    arguments = ["--data", data, "--work", tmp_path / "work", "--results", results, "--cpu_minutes", 0.02]
    arguments += ["--seeds", 3, "--rivals", *trained, "mfcc_mean_std"]
    arguments += ["--set", *(f"{name}.{change}" for name in trained for change in small)]
    monkeypatch.setattr(sys, "argv", ["rivals", *map(str, arguments)])
    command.main()
    first = json.loads((results / "rivals.json").read_text())
    scores = {name: set(one["means"]) for name, one in first["contenders"].items()}
    assert scores == {
        "diptych": {"waveform", "log_mel", "both"},
        "untrained": {"waveform", "log_mel", "both"},
        **{name: {"log_mel"} for name in ("simclr", "cola", "byol_a")},
        "mfcc_mean_std": {"mfcc_mean_std"},
    }
    for name in trained[:-1]:
        (result,) = first["contenders"][name]["by_seed"].values()
        assert result["steps"] > 1
        assert result["cpu_minutes"] >= 0.02

    sound = next((data / "audio").glob("*"))
    content = sound.read_bytes()
    sound.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(SystemExit, match="may hold examples of other audio than .*esc50: remove it, or give another"):
        command.main()
    sound.write_bytes(content)

    next((tmp_path / "work" / "cells").glob("cola-3-*")).unlink()
    command.main()
    second = json.loads((results / "rivals.json").read_text())
    assert second["contenders"]["diptych"] == first["contenders"]["diptych"]
    minutes = [one["contenders"]["cola"]["by_seed"]["3"]["minutes"] for one in (first, second)]
    assert minutes[0] != minutes[1]

    next((tmp_path / "work" / "cells").glob("cola-3-*")).unlink()
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--finished"])
    command.main()
    third = json.loads((results / "rivals.json").read_text())
    assert third["contenders"].keys() == second["contenders"].keys() - {"cola"}
    assert table.render(second)
