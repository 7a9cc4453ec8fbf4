from tests.pipeline.refusals import refusal


def test_a_root_without_a_run_is_refused_and_not_created(capsys, tmp_path):
    assert "There is no run under" in refusal(capsys, "status", "--root", tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_a_root_or_a_preset_must_be_named(capsys):
    assert "--preset NAME or --root DIR" in refusal(capsys, "status")
