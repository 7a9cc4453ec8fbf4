import dataclasses

import numpy as np
from etils import epath
from tensorboard.backend.event_processing import event_accumulator

from components.exporter import summaries
from components.exporter.infra_validator import Check, InfraBlessing
from components.exporter.runtimes import parity, sample, variants
from tests.components import embedding_infos

INFO = dataclasses.replace(embedding_infos.LOG_MEL, signatures={"serving_default": {"embedding": "float32 (batch, 5)"}})
BLESSING = InfraBlessing(checks={"loads": Check(True, "in a fresh process")}, latency_ms={"one_clip": 2.0})


def texts(folder):
    """Returns the texts in the event files of a folder by their tags."""
    accumulator = event_accumulator.EventAccumulator(str(folder))
    accumulator.Reload()
    tags = accumulator.Tags()["tensors"]
    is_text = {tag: accumulator.SummaryMetadata(tag).plugin_data.plugin_name == "text" for tag in tags}
    return {tag: accumulator.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in tags if is_text[tag]}


def test_tensorboard_shows_how_the_files_for_other_runtimes_compare(tmp_path):
    drawn = sample.Sample(windows=np.zeros((4, 8000), np.int16), targets=np.eye(4, 2, dtype=bool))
    reference = np.array([[1, 0], [0, 1], [1, 1], [2, 1]], np.float32)
    turned = reference + np.array([[0, 0.1]], np.float32)
    rows = [
        parity.row(name, values, reference=reference, sample=drawn, size_bytes=size, ms=1.5)
        for name, values, size in (("saved_model", reference, 3_000_000), ("onnx_int8", turned, 1_250_000))
    ]
    (tmp_path / variants.FOLDER).mkdir()
    parity.write(rows, epath.Path(tmp_path), sample=drawn)
    written = (tmp_path / variants.TABLE).read_text()
    summaries.write(INFO, BLESSING, runtimes=written, directory=epath.Path(tmp_path / "events"))
    shown = texts(tmp_path / "events")["saved_model/runtimes"]
    assert shown == written
    assert "| onnx_int8 | 0.99" in shown
    assert " | 1.25 | 1.5 |" in shown


def test_without_such_files_there_is_no_table(tmp_path):
    summaries.write(INFO, BLESSING, runtimes=None, directory=epath.Path(tmp_path))
    assert set(texts(tmp_path)) == {"saved_model/signatures", "saved_model/embedding_info", "infra/checks"}
