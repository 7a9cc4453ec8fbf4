"""TensorBoard shows names of clips, classes and files as they are, though its text tab reads Markdown."""

import html
import re

import numpy as np
import pytest
from etils import epath
from tensorboard import plugin_util
from tensorboard.backend.event_processing import event_accumulator

from beam_jobs import examples
from beam_jobs.statistics import example_statistics, job
from components import tensorboard
from components.audio_example_gen import summaries as audio_summaries
from components.example_validator import summaries as anomaly_summaries
from components.example_validator.anomaly import Anomaly
from components.pusher import summaries as pusher_summaries
from components.statistics_gen import summaries as statistics_summaries
from tests import corpora
from tests.components import stored_examples

NAMES = ("_background_noise_/running_tap.wav", "__init__", "<unk>", "take *2*", "a[0](b)", "1|2", "#hash")
"""The first is a folder and a file of Speech Commands."""

pytestmark = pytest.mark.usefixtures("blank_pictures")


def shown(folder, tag):
    """Returns the text of a tag as it can be read in TensorBoard."""
    accumulator = event_accumulator.EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    return rendered(accumulator.Tensors(tag)[0].tensor_proto.string_val[0].decode())


def rendered(markdown):
    return html.unescape(re.sub(r"<[^>]*>", "", plugin_util.markdown_to_safe_html(markdown)))


def assert_all_in(text):
    assert [name for name in NAMES if name not in text] == []


def test_statistics(tmp_path):
    samples = np.rint(corpora.tone() * 32768).astype(np.int16)
    clips = {"train": [(samples, list(range(len(NAMES))), 0)], "eval": [(samples, [0], 0)]}
    folder = stored_examples.write_examples(
        tmp_path / "examples", clips, label_names=NAMES, source="a._wav_", source_codec="_codec_"
    )
    info = examples.read_info(folder)
    job.compute(info, output=str(tmp_path / "statistics.json"))
    statistics = example_statistics.read(epath.Path(tmp_path))
    (leak,) = statistics["near_duplicates"]
    leak["listed"] = [[name, f"copy of {name}", 24] for name in NAMES]
    statistics_summaries.write(statistics, info=info, directory=epath.Path(tmp_path / "events"), players=0)
    assert_all_in(shown(tmp_path / "events", "near duplicates"))
    assert_all_in(shown(tmp_path / "events", "label pairs"))
    formats = shown(tmp_path / "events", "source formats")
    assert "_codec_" in formats
    assert "._wav_" in formats


def test_anomalies(tmp_path):
    found = [Anomaly(name="train_eval_leakage", severity="warning", message=f"{name} leaks") for name in NAMES]
    anomaly_summaries.write(found, directory=epath.Path(tmp_path))
    assert_all_in(shown(tmp_path, "anomalies"))


def test_quarantine(tmp_path):
    rows = [{"clip_id": name, "path": f"/x/{name}", "cause": "truncated", "message": f"{name}!"} for name in NAMES]
    audio_summaries.write_quarantine(rows, directory=epath.Path(tmp_path))
    text = shown(tmp_path, "quarantine")
    for name in NAMES:
        assert text.count(name) >= 3, name


def test_a_pushed_model(tmp_path):
    pusher_summaries.write({name: f"/models/{name}" for name in ("a", "b")}, directory=epath.Path(tmp_path / "plain"))
    pusher_summaries.write({str(i): name for i, name in enumerate(NAMES)}, directory=epath.Path(tmp_path / "names"))
    assert "/models/a" in shown(tmp_path / "plain", "pushed")
    assert_all_in(shown(tmp_path / "names", "pushed"))


@pytest.mark.parametrize("name", NAMES)
def test_a_player(tmp_path, name):
    with tensorboard.writer(tmp_path).as_default(step=0):
        tensorboard.clip("train/00", np.zeros(800, np.int16), sample_rate=16000, title=name)
    accumulator = event_accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert name in rendered(accumulator.SummaryMetadata("train/00/audio").summary_description)
