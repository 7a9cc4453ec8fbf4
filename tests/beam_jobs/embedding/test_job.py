import json
import pathlib
import pickle
import random
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import soxr
from etils import epath

from beam_jobs import examples
from beam_jobs.embedding import job, publish, write
from beam_jobs.embedding.embedder import Framing
from beam_jobs.embedding.read import Embeddings
from beam_jobs.embedding.shared import SharedEmbedders
from tests import corpora
from tests.beam_jobs.embedding import toy_job
from tests.beam_jobs.embedding.toy_embedder import ToyLoader, slow_vectors
from tests.components import stored_examples
from tests.components.audio_example_gen import job_service
from tests.processes import wait_until

ROOT = pathlib.Path(__file__).parents[3]
LENGTHS = (1, 999, 1000, 1001, 1400, 1401, 5000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Examples of all lengths, with none, one and two labels, with folds, in several files."""
    rng = np.random.default_rng(0)

    def clips(count):
        return [
            (
                rng.integers(-32768, 32767, LENGTHS[k % len(LENGTHS)]).astype(np.int16),
                tuple(range(k % 3)),
                k % 6,
            )
            for k in range(count)
        ]

    return stored_examples.write_examples(
        tmp_path_factory.mktemp("job") / "examples",
        {"train": clips(25), "eval": clips(10)},
        label_names=("a", "b"),
        has_folds=True,
        shards=4,
    )


def stored(folder):
    """Returns split -> the stored clips, in order."""
    info = examples.read_info(folder)
    return {split: list(examples.dataset(folder, split).as_numpy_iterator()) for split in info.splits}


def read_rows(output, embedder, split):
    """Returns each row as (clip id, split, fold, labels, start_s, end_s, vectors)."""
    embeddings = Embeddings(output)
    names = tuple(embeddings.info.embedders[embedder].dims)
    rows = []
    for block in embeddings.blocks(embedder, split, names=names):
        for i in range(len(block)):
            labels = tuple(block.label_values[block.label_offsets[i] : block.label_offsets[i + 1]].tolist())
            vectors = {name: block.vectors[name][i] for name in names}
            rows.append(
                (block.clip_ids[i], block.splits[i], block.folds[i], labels, block.start_s[i], block.end_s[i], vectors)
            )
    return rows


@pytest.mark.parametrize("row", ["window", "clip"])
def test_rows_are_those_of_the_slow_computation(folder, tmp_path, row):
    info = toy_job.embed(folder, tmp_path, row=row)
    assert (info.row, info.label_names, info.has_folds) == (row, ("a", "b"), True)
    assert info.splits == info.embedders["toy"].clips == {"train": 25, "eval": 10}
    for split, clips in stored(folder).items():
        rows = iter(read_rows(tmp_path / "output", "toy", split))
        for clip in clips:
            starts, vectors = slow_vectors(clip["audio"])
            ends = [min(start + 1000, clip["audio"].size) for start in starts]
            if row == "clip":
                starts, ends = [0], [clip["audio"].size]
                vectors = {name: values.mean(axis=0, keepdims=True) for name, values in vectors.items()}
            for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
                clip_id, its_split, fold, labels, start_s, end_s, values = next(rows)
                assert (clip_id, its_split, fold) == (clip["clip_id"].decode(), split, clip["fold"])
                assert labels == tuple(clip["labels"])
                assert (start_s, end_s) == (start / 16000, end / 16000)
                for name in values:
                    np.testing.assert_allclose(values[name], vectors[name][index], rtol=1e-3, atol=1e-6)
        assert next(rows, None) is None
    counted = {split: sum(files.values()) for split, files in info.embedders["toy"].files.items()}
    assert counted == {split: len(read_rows(tmp_path / "output", "toy", split)) for split in info.splits}


def test_an_embedder_of_another_sample_rate_gets_resampled_clips(folder, tmp_path):
    framing = Framing(sample_rate=32000, window_samples=2000, hop_samples=800)
    low = Framing(sample_rate=2000, window_samples=100, hop_samples=50)
    toy_job.embed(
        folder, tmp_path, loaders=(ToyLoader(framing=framing), ToyLoader(name="low", framing=low)), row="clip"
    )
    rows = read_rows(tmp_path / "output", "toy", "train")
    for clip, row in zip(stored(folder)["train"], rows, strict=True):
        wave = soxr.resample(clip["audio"].astype(np.float32) / 32768, 16000, 32000, quality="HQ")
        expected = slow_vectors(np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16), framing)[1]
        np.testing.assert_allclose(row[-1]["moments"], expected["moments"].mean(axis=0), rtol=2e-3, atol=1e-5)
        assert row[5] == pytest.approx(clip["audio"].size / 16000, abs=1e-4)
    # Of a clip of one sample nothing is left at 2,000 Hz, and it still has a row.
    assert [row[0] for row in read_rows(tmp_path / "output", "low", "train")] == [row[0] for row in rows]


def test_a_sample_holds_some_of_the_clips_with_the_same_vectors(folder, tmp_path):
    loaders = (ToyLoader(), ToyLoader(name="few"), ToyLoader(name="as few"))
    info = toy_job.embed(folder, tmp_path, loaders=loaders, limits={"few": 4, "as few": 4})
    assert info.embedders["few"].clips == {"train": 4, "eval": 4}
    for split in info.splits:
        every, few, as_few = (read_rows(tmp_path / "output", name, split) for name in info.embedders)
        drawn = {row[0] for row in few}
        assert len(drawn) == 4
        expected = [row for row in every if row[0] in drawn]
        for rows in (few, as_few):
            assert [row[:-1] for row in rows] == [row[:-1] for row in expected]
            for row, other in zip(rows, expected, strict=True):
                np.testing.assert_array_equal(row[-1]["moments"], other[-1]["moments"])


def test_a_rerun_writes_only_what_has_changed(folder, tmp_path):
    loaders = (ToyLoader(), ToyLoader(name="other"))
    toy_job.embed(folder, tmp_path, loaders=loaders)
    before = corpora.contents(tmp_path / "output")
    work = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.parquet.*") if path.is_file()}
    damaged = next(path for path in work if path.parent.name == "toy")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    lost = next(path for path in work if path.parent.name == "other")
    lost.unlink()
    (tmp_path / "work" / "toy" / "train-00000-of-00004.parquet.killed.writing").write_bytes(b"a part")

    toy_job.embed(folder, tmp_path, loaders=loaders, batch_size=3)
    assert corpora.contents(tmp_path / "output") == before
    again = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.parquet.*") if path.is_file()}
    changed = {path for path in again if again[path] != work.get(path)}
    assert changed - set((tmp_path / "work").rglob("*.json")) == {damaged, lost}

    toy_job.embed(folder, tmp_path, loaders=(ToyLoader(), ToyLoader(name="other", scale=2.0)))
    after = corpora.contents(tmp_path / "output")
    same = {name for name in before if before[name] == after.get(name)}
    assert {name for name in before if name.startswith("toy/")} <= same
    assert not any(name.startswith("other/") and name.endswith(".parquet") for name in same)


def test_all_threads_share_one_embedder(folder, tmp_path):
    log = tmp_path / "log"
    toy_job.embed(folder, tmp_path, loaders=(ToyLoader(log=str(log)),), beam_args=("--direct_num_workers=4",))
    assert log.read_text() == "loaded\n"


def test_embedders_are_let_go_of():
    embedders = SharedEmbedders([ToyLoader()])
    first = embedders.get("toy")
    assert pickle.loads(pickle.dumps(embedders)).get("toy") is first
    embedders.close()
    assert embedders.get("toy") is not first


def test_one_batch_is_embedded_at_a_time():
    running, most = 0, 0

    class Watched(ToyLoader):
        def load(self):
            embedder = super().load()

            def embed(windows):
                nonlocal running, most
                running += 1
                most = max(most, running)
                threading.Event().wait(0.01)
                running -= 1
                return {}

            embedder.embed = embed
            return embedder

    embedders = SharedEmbedders([Watched(), Watched(name="other")])
    threads = [
        threading.Thread(target=lambda name=name: embedders.get(name).embed(np.zeros((1, 8))))
        for name in ("toy", "other") * 4
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_vector_that_cannot_be_stored_is_one_sentence(folder, tmp_path):
    with pytest.raises(write.UnusableVectorsError) as caught:
        toy_job.embed(folder, tmp_path, loaders=(ToyLoader(scale=1e9),))
    assert "the embedding moments of the embedder toy holds a value that float16 cannot hold" in str(caught.value)
    assert " for the clip " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sampled", [None, 4])
def test_damaged_examples_are_named(folder, tmp_path, sampled):
    damaged = tmp_path / "examples"
    damaged.mkdir()
    for path in folder.iterdir():
        path.copy(damaged / path.name)
    for file in examples.read_info(damaged).files("train"):
        content = bytearray(pathlib.Path(file).read_bytes())
        content[20] ^= 4
        pathlib.Path(file).write_bytes(content)
    with pytest.raises(examples.DamagedExamplesError, match="audio-train.* is damaged"):
        toy_job.embed(damaged, tmp_path, limits={"toy": sampled})


def test_a_finished_file_that_is_gone_when_it_is_published_is_named(folder, tmp_path):
    toy = toy_job.job_of(folder, loaders=(ToyLoader(),))
    finished = job.write_shards(toy, work_dir=tmp_path / "work")
    (tmp_path / "work" / "toy" / finished[0].file).unlink()
    (tmp_path / "output").mkdir()
    work, output = epath.Path(tmp_path / "work"), epath.Path(tmp_path / "output")
    with pytest.raises(publish.LostFileError, match=f"{finished[0].file} has 0 of its"):
        publish.publish(toy, finished, work=work, output=output)


def start(folder, run, *beam_args, seconds):
    command = [sys.executable, "-m", toy_job.__name__, str(folder), str(run), str(seconds), *beam_args]
    return subprocess.Popen(command, cwd=ROOT)


def finished_files(run):
    return [json.loads(path.read_text())["sha256"] for path in (run / "work").glob("*/_done/*.json")]


@pytest.mark.slow
def test_a_job_that_is_killed_ends_with_the_same_bytes(folder, tmp_path):
    loaders = (ToyLoader(), ToyLoader(name="other"))
    toy_job.embed(folder, tmp_path / "undisturbed", loaders=loaders)
    seed = random.SystemRandom().randrange(2**32)
    print(f"The job is killed at a time drawn with seed {seed}.")
    run, rng = tmp_path / "killed", random.Random(seed)
    process = start(folder, run, seconds=0.05)
    try:
        wait_until(lambda: len(finished_files(run)) >= rng.randint(1, 4))
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    survivors = finished_files(run)
    assert len(survivors) < 16
    toy_job.embed(folder, run, loaders=loaders)
    assert set(survivors) <= set(finished_files(run))
    assert not list(run.rglob("*.writing"))
    assert corpora.contents(run / "output") == corpora.contents(tmp_path / "undisturbed" / "output")


@pytest.mark.slow
@pytest.mark.parametrize("where", ["job service", "processes", "memory"])
def test_each_runner_writes_the_same_bytes(folder, tmp_path, where):
    toy_job.embed(folder, tmp_path / "threads", loaders=(ToyLoader(), ToyLoader(name="other")))
    if where == "job service":
        with job_service.running(tmp_path) as flags:
            assert start(folder, tmp_path / "run", *flags, seconds=0).wait() == 0
        assert "sdk_worker_main" in (tmp_path / "log").read_text()
    else:
        mode = {"processes": "multi_processing", "memory": "in_memory"}[where]
        assert start(folder, tmp_path / "run", f"--direct_running_mode={mode}", seconds=0).wait() == 0
    assert corpora.contents(tmp_path / "run" / "output") == corpora.contents(tmp_path / "threads" / "output")


@pytest.mark.slow
def test_in_a_bucket_a_file_takes_at_most_four_requests_and_has_the_same_bytes(folder, tmp_path, buckets):
    toy_job.embed(folder, tmp_path)
    taken = []
    for loaders in ((ToyLoader(),), (ToyLoader(), ToyLoader(name="other"))):
        before = len(buckets.requests())
        info = toy_job.embed(folder, f"gs://bucket/{len(loaders)}", loaders=loaders)
        taken.append(len(buckets.requests()) - before)
    files = sum(len(names) for names in info.embedders["other"].files.values())
    assert taken[1] - taken[0] <= 4 * files + 5  # The folder of the second embedder takes some.
    output = epath.Path("gs://bucket/2/output/toy")
    local = corpora.contents(tmp_path / "output" / "toy")
    assert {name: (output / name).read_bytes() for name in local} == local
