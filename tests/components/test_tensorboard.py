import numpy as np
from tensorboard.backend.event_processing import event_accumulator

from components import tensorboard
from tests import corpora


def test_figure_image():
    fig = tensorboard.figure(width=4.0, height=2.0)
    fig.add_subplot().plot([1, 2, 3])
    image = tensorboard.figure_image(fig)
    assert image.shape == (1, 200, 400, 4)
    assert image.dtype == np.uint8
    assert image.min() < 100 < image.max()


def test_log_mel_image_depends_on_the_sound():
    silence = tensorboard.log_mel_image(np.zeros(8000), sample_rate=16000)
    tone = tensorboard.log_mel_image(corpora.tone(), sample_rate=16000)
    assert silence.shape == tone.shape == (1, 300, 800, 4)
    assert not np.array_equal(silence, tone)


def test_clip_becomes_a_player_and_a_picture(tmp_path):
    samples = np.rint(corpora.tone() * 32768).astype(np.int16)
    with tensorboard.writer(tmp_path).as_default(step=0):
        tensorboard.clip("train/00", samples, sample_rate=16000, title="a tone")
    accumulator = event_accumulator.EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    accumulator.Reload()
    plugins = {tag: accumulator.SummaryMetadata(tag).plugin_data.plugin_name for tag in accumulator.Tags()["tensors"]}
    assert plugins == {"train/00/audio": "audio", "train/00/log_mel": "images"}
    assert accumulator.SummaryMetadata("train/00/audio").summary_description == "a tone"
    wav = accumulator.Tensors("train/00/audio")[0].tensor_proto.string_val[0]
    assert wav.startswith(b"RIFF")
    assert wav.endswith(samples.astype("<i2").tobytes()[-100:])


def test_markdown_table_escapes_bars_and_line_breaks():
    table = tensorboard.markdown_table(("a", "b"), [(1, "x|y"), ("two\nlines", None)])
    assert table.splitlines() == ["| a | b |", "| --- | --- |", "| 1 | x\\|y |", "| two lines | None |"]
