import shutil

import pytest

from pipeline import cli
from tests import disks
from tests.pipeline import tiny_run
from tests.pipeline.refusals import refusal

RUN = ("run", "--preset", "quickstart", "--until", "SyntheticAudioGen")
SMALL = ("synthetic_audio_gen.clips_train=3", "synthetic_audio_gen.clips_eval=2")


def test_a_full_disk_ends_a_stage_in_one_sentence_and_the_next_run_continues(tmp_path, capsys):
    with disks.small(tmp_path / "disk", size="3m") as disk:
        root = disk / "root"
        ballast = disks.fill(disk, leave=600_000)
        message = refusal(capsys, *RUN, *SMALL, "--root", root)
        assert message.startswith(f"diptych: {root}")
        assert "cannot be used (no space left on the device): make room there" in message
        assert "Logging error" not in message
        assert not list((root / "artifacts").rglob("*.wav"))
        ballast.unlink()
        small = [text.replace("=3", "=1").replace("=2", "=1") for text in SMALL]
        assert cli.main([*RUN, *small, "--root", str(root)]) == 0


@pytest.mark.parametrize("place", [pytest.param("new store", marks=pytest.mark.slow), "store of an earlier run"])
def test_metadata_on_a_full_disk(tmp_path, capsys, place):
    with disks.small(tmp_path / "disk", size="1m") as disk:
        arguments = [*RUN, *SMALL, "--root", tmp_path / "root", "--metadata", disk / "store.sqlite"]
        if place == "store of an earlier run":
            assert cli.main(list(map(str, arguments))) == 0
            capsys.readouterr()
        disks.fill(disk)
        message = refusal(capsys, *arguments)
        assert "no space left on the device" in message
        assert str(disk / "store.sqlite") in message


def test_metadata_on_a_read_only_disk(tmp_path, capsys):
    (tmp_path / "disk").mkdir()
    arguments = [*RUN, *SMALL, "--root", tmp_path / "root", "--metadata", tmp_path / "disk" / "store.sqlite"]
    assert cli.main(list(map(str, arguments))) == 0
    with disks.read_only(tmp_path / "disk"):
        capsys.readouterr()
        assert f"{tmp_path / 'disk' / 'store.sqlite'} cannot be" in refusal(capsys, *arguments)


def test_a_log_that_cannot_be_written_is_said_once_and_the_run_goes_on(tmp_path, capfd):
    with disks.small(tmp_path / "root" / "logs", size="64k") as logs:
        disks.fill(logs)
        assert cli.main([*map(str, [*RUN, *SMALL]), "--root", str(tmp_path / "root")]) == 0
    output = capfd.readouterr()
    assert output.out.count("cannot be written (No space left on device): it ends here") == 1
    assert "Logging error" not in output.err


@pytest.mark.parametrize(
    "part",
    [
        "artifacts",
        *(pytest.param(part, marks=pytest.mark.slow) for part in ("logs", "staging", "work", "tensorboard", ".")),
    ],
)
def test_a_part_of_the_root_that_is_read_only(tmp_path, capsys, part):
    folder = tmp_path / "root" / part
    folder.mkdir(parents=True)
    with disks.read_only(folder):
        message = refusal(capsys, *RUN, *SMALL, "--root", tmp_path / "root")
    assert str(folder.resolve()) in message
    assert "ead-only" in message
    assert cli.main([*map(str, [*RUN, *SMALL]), "--root", str(tmp_path / "root")]) == 0


def test_parts_of_the_root_on_other_disks(tmp_path, capsys):
    root = tmp_path / "root"
    with disks.small(root / "artifacts", size="20m"):
        message = refusal(capsys, *RUN, *SMALL, "--root", root)
        assert message.startswith(f"diptych: {root / 'artifacts'} is on another disk than {root}")
    stage = root / "artifacts" / "SyntheticAudioGen"
    with disks.small(tmp_path / "large", size="20m") as large:
        stage.symlink_to(large)
        message = refusal(capsys, *RUN, *SMALL, "--root", root)
        assert message.startswith(f"diptych: {stage / 'audio'} is on another disk than {root / 'staging'}")
        stage.unlink()
    with disks.small(root / "staging", size="20m"):
        message = refusal(capsys, *RUN, *SMALL, "--root", root)
        assert message.startswith(f"diptych: {stage / 'audio'} is on another disk than {root / 'staging'}")
    with disks.small(tmp_path / "disk", size="20m") as disk:
        linked = tmp_path / "linked"
        linked.mkdir()
        for name in ("artifacts", "staging"):
            (disk / name).mkdir()
            (linked / name).symlink_to(disk / name)
        assert cli.main([*map(str, [*RUN, *SMALL]), "--root", str(linked)]) == 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The arguments of a run that has finished, and its root."""
    root = tmp_path_factory.mktemp("finished") / "root"
    arguments = ["run", "--preset", "quickstart", "--root", str(root)]
    arguments += ["synthetic_audio_gen.clips_train=8", "synthetic_audio_gen.clips_eval=4"]
    arguments += ["trainer.steps=2", "trainer.eval_every=2", "trainer.batch_size=2"]
    assert cli.main(arguments) == 0
    return arguments, root


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "part"),
    [
        (stage, part)
        for stage in ("SyntheticAudioGen", *tiny_run.STAGES)
        for part in ("staging", "tensorboard")
        if (stage, part) != ("Pusher", "staging")  # Without a destination it stages no file.
    ],
)
def test_every_stage_reports_a_full_disk_in_one_sentence(finished, capfd, stage, part):
    arguments, root = finished
    with disks.small(root / part, size="4k") as disk:
        if part == "tensorboard":  # The folder `staging` is emptied first.
            disks.fill(disk)
        capfd.readouterr()
        message = refusal(capfd, *arguments, "--force", stage, "--until", stage)
    assert str(root) in message
    assert "o space left on" in message
    assert "ake room" in message


def test_a_finished_output_that_was_moved_to_another_disk_and_linked_is_used(tmp_path, capsys):
    assert cli.main([*map(str, [*RUN, *SMALL]), "--root", str(tmp_path / "root")]) == 0
    stage = tmp_path / "root" / "artifacts" / "SyntheticAudioGen"
    with disks.small(tmp_path / "large", size="20m") as large:
        shutil.move(stage, large)
        stage.symlink_to(large / "SyntheticAudioGen")
        capsys.readouterr()
        assert cli.main([*map(str, [*RUN, *SMALL]), "--root", str(tmp_path / "root")]) == 0
        assert "SyntheticAudioGen: skipped, nothing changed" in capsys.readouterr().out
