"""A root in which cells run: its examples are those that the command began with."""

import pytest
from etils import epath

from components.errors import UserError
from pipeline.configs import resolve
from pipeline.console.progress import Display
from pipeline.experiments import budget
from pipeline.experiments.workplace import Workplace
from pipeline.root import Root
from pipeline.runner import interrupts
from tests import corpora
from tests.pipeline import tiny_run

pytestmark = pytest.mark.slow


def workplace_of(clips, root):
    base = resolve.resolve("tiny", data=str(clips), assignments=["trainer.batch_size=8"])
    return Workplace(Root(epath.Path(root)), base=base, overridden=[], preset="tiny", budget=budget.parse("steps=2"))


def test_clips_that_change_while_a_command_runs_do_not_mix_with_those_before(tmp_path, capsys):
    clips, root = tmp_path / "clips", tmp_path / "root"
    clips.mkdir()
    tiny_run.write_clips(clips)
    workplace = workplace_of(clips, root)
    with interrupts.as_exceptions():
        workplace.prepare(Display())
        corpora.write_tone(clips / "0.wav", seconds=1.5, hertz=3000.0)
        for _ in range(2):  # Of each training that is left.
            with pytest.raises(UserError, match=rf"^{clips} has changed since this command began"):
                workplace.prepare(Display())
        workplace_of(clips, root).prepare(Display())  # The same command again.
        assert capsys.readouterr().out.count("Examples for all cells") == 2
