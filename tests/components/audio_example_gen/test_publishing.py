"""Shards that change between the end of the job and publishing, e.g. because of a second run in the work folder."""

import pytest

from beam_jobs.ingest import job
from components.errors import UserError
from tests import corpora
from tests.components import harness
from tests.components.audio_example_gen.stage import audio_example_gen, read_clips

pytestmark = pytest.mark.usefixtures("blank_pictures", "kept_decoders")


@pytest.mark.parametrize("change", [lambda file: file.write_bytes(b"half"), lambda file: file.unlink()])
def test_a_file_that_is_not_as_its_record_says_is_not_published_and_written_again(tmp_path, monkeypatch, change):
    write_shards = job.write_shards

    def write_and_change(*args, **kwargs):
        written = write_shards(*args, **kwargs)
        change(kwargs["work_dir"] / written[0].file)
        return written

    monkeypatch.setattr(job, "write_shards", write_and_change)
    stage = audio_example_gen(source=str(corpora.esc50(tmp_path / "esc", clips=6)), shards=2)
    with pytest.raises(UserError, match=r"work/audio-\S+ has [04] of its [\d,]+ bytes, .*the same command writes it"):
        harness.execute(stage, tmp_path / "run")
    monkeypatch.setattr(job, "write_shards", write_shards)
    assert len(read_clips(harness.execute(stage, tmp_path / "run").outputs["examples"])) == 6
