"""The cells of every experiment at every scale, and the commands that `--print` shows."""

import pathlib
import re
import shlex

import pytest

from components.errors import UserError
from models import catalog as encoders
from models.compatibility import embedding_dim
from pipeline import cli, dag
from pipeline.configs import overrides, presets
from pipeline.console.progress import Display
from pipeline.experiments import budget, catalog, experiment, settings, study
from pipeline.experiments.experiment import Cell
from pipeline.experiments.outputs import write
from pipeline.runner import selection
from tests import printed_commands

REPOSITORY = pathlib.Path(__file__).parents[3]
EVERYWHERE = [(name, preset) for name in catalog.EXPERIMENTS for preset in presets.PRESETS]


def base(preset):
    return overrides.replace(presets.config(preset), {"synthetic_audio_gen": {}})


@pytest.mark.parametrize(("name", "preset"), EVERYWHERE)
def test_every_cell_is_a_run_that_its_stages_accept(name, preset):
    config = base(preset)
    layout = catalog.find(name).layout(config)
    seen = {}
    for cell in layout.cells:
        training = settings.of_training(config, cell, seed=1, steps=60)
        pipeline = dag.create_pipeline(training)
        selection.check_components(pipeline, selection.select(pipeline, force=(), from_stage=None, until_stage=None))
        same = seen.setdefault(training.trainer.model_dump_json() if name == "figure2" else cell.name, cell.name)
        assert same == cell.name
        assert re.fullmatch(r"[\w+.-]+", cell.name)
    assert {place.cell for place in layout.places} - {""} == {cell.name for cell in layout.cells}
    assert len({(place.block, place.row, place.column) for place in layout.places}) == len(layout.places)
    reference = catalog.find(name).reference
    assert not reference or reference in {cell.name for cell in layout.cells}
    for place in layout.places:
        assert place.paper is None or 0 < place.paper < 1


def test_a_format_is_augmented_as_the_preset_augments_its_kind():
    config = overrides.replace(base("tiny"), {"trainer.model.augment_a.time_mask_seconds": 0.2})
    cells = {cell.name: cell for cell in catalog.find("figure2").layout(config).cells}
    assert set(cells) >= {"waveform", "mfcc", "spectrogram+mfcc", "waveform+log_mel"}
    model = settings.of_training(config, cells["waveform"], seed=0, steps=9).trainer.model
    assert model.format_names == ("waveform", "waveform")
    assert model.augment_a == model.augment_b == config.trainer.model.augment_a
    model = settings.of_training(config, cells["log_mel+mfcc"], seed=0, steps=9).trainer.model
    assert model.format_names == ("log_mel", "mfcc")
    assert model.augment_a == model.augment_b == config.trainer.model.augment_b


@pytest.mark.parametrize("preset", ["quickstart", "tiny", "base"])
def test_a_wide_format_has_as_many_features_as_the_pair(preset):
    config = base(preset)
    cells = {cell.name: cell for cell in catalog.find("figure2").layout(config).cells}

    def features(name):
        model = settings.of_training(config, cells[name], seed=0, steps=9).trainer.model
        return embedding_dim(model) * len(set(model.format_names))

    assert features("waveform-wide") == features("log_mel-wide") == features("waveform+log_mel")


def test_table_2_has_the_encoders_of_the_paper():
    layout = catalog.find("table2").layout(base("base"))
    used = {value for cell in layout.cells for name, value in cell.fields.items() if ".encoders." in name}
    assert used == set(encoders.ENCODERS) - {"melbank"}
    assert len(layout.cells) == 18


@pytest.mark.parametrize("preset", ["quickstart", "tiny", "final"])
def test_large_batches_are_embedded_part_by_part(preset):
    config = base(preset)
    sizes = []
    for cell in catalog.find("figure4").layout(config).cells:
        trainer = settings.of_training(config, cell, seed=0, steps=9).trainer
        parts = trainer.micro_batch or trainer.batch_size
        assert trainer.batch_size % parts == 0
        assert parts % trainer.model.mixing_group == 0 or parts == trainer.batch_size
        sizes.append(trainer.batch_size)
    assert sizes == sorted(set(sizes))
    assert len(sizes) >= 4


def test_what_is_embedded_at_once_can_be_chosen_where_batches_are_compared():
    config = overrides.replace(base("final"), {"trainer.micro_batch": 128})
    cells = catalog.find("figure4").layout(config).cells
    settings.check_overrides(["trainer.micro_batch=128"], selected=cells, cells=cells, experiment="figure4")
    parts = {}
    for cell in cells:
        trainer = settings.of_training(config, cell, seed=0, steps=9).trainer
        parts[trainer.batch_size] = trainer.micro_batch
    assert set(parts.values()) == {128}
    small = overrides.replace(base("final"), {"trainer.micro_batch": 512})
    sizes = [
        settings.of_training(small, cell, seed=0, steps=9).trainer
        for cell in catalog.find("figure4").layout(small).cells
    ]
    assert [one.micro_batch for one in sizes][:3] == [None, 512, 512]


def study_of(name, *, root, only=(), assignments=()):
    request = study.Request(
        experiment=catalog.find(name),
        preset="quickstart",
        data=None,
        root=str(root),
        seeds=1,
        budget="steps=2",
        only=only,
        assignments=assignments,
    )
    return study.Study(request)


def test_cells_with_a_batch_of_less_than_a_clip_are_not_looked_for(tmp_path):
    chosen = study_of("figure4", root=tmp_path, only=["batch-512"], assignments=["trainer.pairs_per_clip=32"])
    assert chosen._clips_per_step == {"batch-32": 1, "batch-128": 4, "batch-512": 16}
    with pytest.raises(UserError, match=r"^Cell batch-16: trainer\.pairs_per_clip=32 leaves less than two clips "):
        study_of("figure4", root=tmp_path, assignments=["trainer.pairs_per_clip=32"])


@pytest.mark.parametrize(("name", "cell"), [("figure2", "waveform+log_mel"), ("table4", "waveform+log_mel")])
def test_an_override_need_not_fit_cells_that_only_leaves_out(tmp_path, name, cell):
    rates = ["trainer.branch_learning_rates=[3,1]"]
    chosen = study_of(name, root=tmp_path, only=[cell], assignments=rates)
    chosen._look(Display())
    results = chosen.results()
    assert list(results.cells) == [cell.name for cell in catalog.find(name).layout(base("quickstart")).cells]
    write.write_all(results, chosen.folder)
    with pytest.raises(
        UserError, match=r"^Cell (waveform|log_mel): trainer: branch_learning_rates 3, 1: both branches share one"
    ):
        study_of(name, root=tmp_path, assignments=rates)


def test_short_trainings_are_validated_a_few_times_and_long_ones_as_the_preset_says():
    config, cell = base("tiny"), Cell(name="half", fields={}, shares={"trainer.warmup_steps": 0.5})
    short = settings.of_training(config, cell, seed=2, steps=60).trainer
    assert (short.steps, short.seed, short.warmup_steps) == (60, 2, 30)
    assert (short.eval_every, short.checkpoint_every, short.log_every) == (15, 15, 3)
    long = settings.of_training(config, cell, seed=2, steps=4000).trainer
    assert (long.eval_every, long.checkpoint_every, long.log_every) == (100, 100, 10)
    kept = settings.of_training(config, cell, seed=2, steps=60, overridden=["trainer.eval_every"]).trainer
    assert kept.eval_every == 100
    assert settings.of_training(config, cell, seed=2, steps=1).trainer.eval_every == 1


def test_only_takes_names_and_patterns():
    cells = catalog.find("table1").layout(base("tiny")).cells
    chosen = experiment.select(cells, ["temperature-0.1", "latent-*"], experiment="table1")
    assert [cell.name for cell in chosen][:2] == ["temperature-0.1", "latent-128"]
    assert len(experiment.select(cells, [], experiment="table1")) == len(cells) == 27
    with pytest.raises(UserError, match=r"--only temperature-0\.2: table1 has no such cell; did you mean temperature"):
        experiment.select(cells, ["temperature-0.2"], experiment="table1")


@pytest.mark.parametrize(("name", "preset"), [("figure2", "quickstart"), ("table1", "tiny"), ("recipe", "small")])
def test_printed_commands_ask_for_one_cell_each(capsys, tmp_path, name, preset):
    root = tmp_path / "a root's"
    words = ["--preset", preset, "--data", str(tmp_path), "--root", str(root), "--seeds", "2", "--print"]
    assert cli.main(["ablate", name, *words, "trainer.learning_rate=0.001", "embedder.baselines=[]"]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [cell.name for cell in catalog.find(name).layout(presets.config(preset)).cells]
    assert len(lines) == len(cells)
    for line, cell in zip(lines, cells, strict=True):
        arguments = printed_commands.arguments(line)
        parsed = cli._parse(arguments)
        assert (parsed.command, parsed.experiment) == ("ablate", name)
        assert cli.main([*arguments, "--print"]) == 0  # It is a command that is accepted.
        again = shlex.split(capsys.readouterr().out)
        assert again[again.index("--only") + 1] == cell
        assert (parsed.root, parsed.seeds) == (str(root / "cells" / cell), 2)
        assert parsed.budget == budget.default(preset, presets.config(preset)).text
    assert not root.exists()


def test_printed_commands_find_the_same_files_from_any_folder(capsys, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "schema.json").write_text("{}")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    typed = ["example_validator.schema_path=schema.json", "embedder.baselines=panns=~/p"]
    assert cli.main(["ablate", "recipe", "--preset", "quickstart", "--print", *typed]) == 0
    expected = [
        f"example_validator.schema_path={tmp_path}/here/schema.json",
        f'embedder.baselines=["panns={tmp_path}/home/p"]',
    ]
    lines = capsys.readouterr().out.splitlines()
    assert lines
    for line in lines:
        assert printed_commands.arguments(line)[-2:] == expected
    # The command without --print has the same config, and so it finds what has finished.
    planned = study_of("recipe", root="root", assignments=typed)
    assert planned.request.assignments == expected
    assert planned.base.embedder.baselines == (f"panns={tmp_path}/home/p",)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["figure9"], "figure9: there is no such experiment; did you mean figure"),
        (["table1", "--only", "crop-7"], "--only crop-7: table1 has no such cell; did you mean crop-"),
        (["table1", "--only", "trainer.batch_size=9"], "--only names no cell"),
        (["table1", "--budget", "minutes=3"], "--budget minutes=3 is not a budget: give cpu-minutes=N"),
        (["table1", "--seeds", "0"], "--seeds 0: give at least 1"),
        (["table1", "trainer.steps=3"], "trainer.steps follows from --budget here"),
        (["table1", "trainer.seed=3"], "trainer.seed follows from --seeds here"),
        (["table1", "trainer.extend=true"], "trainer.extend: every training of an experiment begins from the start"),
        (["figure4", "trainer.batch_size=64"], "trainer.batch_size is what figure4 varies: leave it out.\n"),
        (
            ["table1", "trainer.model.crop_seconds=3", "--only", "crop-*"],
            "trainer.model.crop_seconds is what table1 varies: leave it out, or choose cells that leave it alone with "
            "--only, such as shift-0.\n",
        ),
        (
            ["table1", 'trainer={"objective": "all"}'],
            "trainer is a section with trainer.steps, which table1 sets itself",
        ),
        (
            ["table2", 'trainer.model.encoders={"mfcc": "cnn6"}'],
            "trainer.model.encoders is a section with trainer.model.encoders.waveform, which table2 sets itself: set "
            "its other fields one by one.\n",
        ),
        (["table4", "audio_example_gen.source=/nowhere"], "audio_example_gen.source"),
        (["recipe", "trainer.nothing=1"], "trainer.nothing: there is no such field"),
        (["recipe", "--root", ""], "--root is empty: give a folder.\n"),
        (["recipe", "--root", "foo://bar"], "--root foo://bar: the metadata of the cells are a file"),
        (["recipe", "--root", "gs://bucket/root"], "--root gs://bucket/root: the metadata of the cells are a file"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(capsys, words, message):
    assert cli.main(["ablate", *words, "--preset", "quickstart"]) == 2
    text = capsys.readouterr().err
    assert text.startswith(f"diptych: {message}")
    assert text.count("\n") == 1


def test_a_file_in_the_place_of_the_results_is_refused_before_anything_runs(capsys, tmp_path):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "figure2").write_text("")
    assert (
        cli.main(["ablate", "figure2", "--preset", "quickstart", "--root", str(tmp_path), "--budget", "steps=1"]) == 2
    )
    message = f"diptych: {tmp_path}/experiments/figure2 is a file where the results belong: move it away, or give "
    assert capsys.readouterr().err.startswith(message)
    assert not (tmp_path / "metadata.sqlite").exists()


def test_audio_is_needed_where_the_preset_generates_none(capsys):
    assert cli.main(["ablate", "table4", "--preset", "tiny"]) == 2
    assert "give its folder with --data PATH" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["table4", "figure2", "table1", "recipe"])
def test_the_page_tells_how_many_trainings_there_are(name):
    """With the default of three seeds."""
    page = (REPOSITORY / "pipeline" / "experiments" / "README.md").read_text()
    (trainings,) = re.findall(rf"`{name}`(?: is)? (\d+)\b", page)
    assert int(trainings) == 3 * len(catalog.find(name).layout(base("tiny")).cells)
