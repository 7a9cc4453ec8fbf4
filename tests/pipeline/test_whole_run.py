"""A whole run of all stages: what TensorBoard shows of it, and what happens when its files are damaged."""

import html
import pathlib
import re
import shutil
import urllib.parse

import pytest

from pipeline import checksums
from pipeline.console import overview
from tests import tensorboard_server
from tests.pipeline import tiny_run

pytestmark = pytest.mark.slow

EXAMPLES = "AudioExampleGen/examples/1/"
SAVED_MODEL = "Exporter/saved_model/5/"

# A published file, and the stages that read it.
READERS = [
    (EXAMPLES + "audio-train.tfrecord-00000-of-*", ("StatisticsGen", "Trainer", "Exporter", "Embedder")),
    (EXAMPLES + "dataset_info.json", ("StatisticsGen", "Trainer")),
    (EXAMPLES + "features.json", ("StatisticsGen", "Trainer")),
    ("StatisticsGen/statistics/2/statistics.json", ("ExampleValidator",)),
    ("ExampleValidator/anomalies/3/anomalies.json", ("Trainer",)),
    ("Trainer/model/4/model.keras", ("Exporter",)),
    ("Trainer/model/4/initial.keras", ("Embedder",)),
    (SAVED_MODEL + "saved_model.pb", ("Embedder",)),
    (SAVED_MODEL + "variables/variables.data-00000-of-00001", ("Embedder",)),
    (SAVED_MODEL + "variables/variables.index", ("Embedder",)),
    (SAVED_MODEL + "assets.extra/embedding_info.json", ("Embedder",)),
    ("Embedder/embeddings/6/embeddings.json", ("Evaluator",)),
    ("Embedder/embeddings/6/trained/train-00000-of-*.parquet", ("Evaluator",)),
    ("Embedder/embeddings/6/untrained/eval-00000-of-*.parquet", ("Evaluator",)),
    ("Exporter/infra_blessing/5/infra_blessing.json", ("Pusher",)),
    ("Evaluator/blessing/7/blessing.json", ("Pusher",)),
    ("Evaluator/evaluation/7/metrics.json", ("Pusher",)),
]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    tiny_run.write_clips(folder)
    return folder


@pytest.fixture(scope="module")
def finished(clips, tmp_path_factory):
    """A root whose run has finished, and a copy of it."""
    root = tmp_path_factory.mktemp("whole_run") / "root"
    status, ran, _ = tiny_run.run(clips, root)
    assert (status, len(ran)) == (0, 8)
    copy = root.with_name("copy")
    shutil.copytree(root, copy)
    return root, copy


@pytest.fixture
def root(finished):
    """The root as it was when the run finished. It stays in its place."""
    root, copy = finished
    shutil.rmtree(root)
    shutil.copytree(copy, root)
    return root


def flip(file: pathlib.Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def garble(file: pathlib.Path) -> None:
    file.write_bytes(bytes((7 * byte + 13) % 256 for byte in file.read_bytes()))


def empty(file: pathlib.Path) -> None:
    file.write_bytes(b"")


def find(root: pathlib.Path, pattern: str) -> pathlib.Path:
    return next(iter((root / "artifacts").glob(pattern)))


def test_tensorboard_shows_every_tag_of_every_stage(finished):
    tags = tensorboard_server.check_tags(finished[0] / "tensorboard")
    assert sorted({run.partition("/")[0] for run, _ in tags}) == [
        "0 overview",
        "1 AudioExampleGen",
        "2 StatisticsGen",
        "3 ExampleValidator",
        "4 Trainer",
        "5 Exporter",
        "6 Embedder",
        "7 Evaluator",
        "8 Pusher",
    ]


def test_the_links_of_the_overview_lead_to_what_the_stages_show(finished):
    folder = finished[0] / "tensorboard"
    with tensorboard_server.serve(folder) as server:
        (page,) = server.json("data/plugin/text/text", run="0 overview", tag=overview.RUN)
        projected = server.json("data/plugin/projector/runs")
        assert server.json("data/runs")[0] == "0 overview"
    links = [html.unescape(link) for link in re.findall(r'href="([^"]+)"', page["text"])]
    linked = {_run_and_tab(link) for link in links if link != "#projector"}
    shown = {(run, plugin) for (run, _), plugins in tensorboard_server.written(folder).items() for plugin in plugins}
    assert linked == shown - {("0 overview", "text")}  # The page itself.
    assert len(projected) == links.count("#projector")


def _run_and_tab(link):
    """Returns what TensorBoard shows at an address: the run and its kind of summary."""
    query = dict(urllib.parse.parse_qsl(link.strip("?#").replace("#", "&")))
    run = next(query[name] for name in ("runFilter", "regexInput") if name in query)
    tab = re.search(r"#(\w+)", link).group(1)
    return run.strip("^$"), "scalars" if tab == "timeseries" else tab


@pytest.mark.parametrize("damage", [flip, empty, pathlib.Path.unlink])
@pytest.mark.parametrize("pattern", [pattern for pattern, _ in READERS])
def test_the_stage_that_wrote_a_damaged_file_runs_again_at_once(clips, root, pattern, damage):
    writer = pattern.partition("/")[0]
    damage(find(root, pattern))
    status, ran, _ = tiny_run.run(clips, root, "--until", writer)
    assert (status, ran) == (0, [writer])


@pytest.mark.parametrize("damage", [flip, garble])
@pytest.mark.parametrize(("pattern", "reader"), [(pattern, reader) for pattern, all_ in READERS for reader in all_])
def test_damage_too_large_to_be_looked_for_is_one_sentence(clips, root, monkeypatch, pattern, reader, damage):
    """Files of this run are small. Without the look at small files they meet what large ones meet."""
    monkeypatch.setattr(checksums, "CHEAP_BYTES", 0)
    monkeypatch.setattr(checksums, "INPUT_BYTES", 0)
    file = find(root, pattern)
    writer = pattern.partition("/")[0]
    damage(file)
    flags = ("--until", reader, "--force", reader)
    status, _, error = tiny_run.run(clips, root, *flags)
    if status == 0:  # The damaged file can be read, e.g. another digit in a number.
        return
    assert status == 2
    assert error.splitlines()[-1] == (
        f"diptych: {file} was altered after {writer} wrote it: run the same command again (without --from), and "
        f"{writer} runs again."
    )
    status, ran, _ = tiny_run.run(clips, root, *flags)
    assert (status, ran[0], ran[-1]) == (0, writer, reader)
