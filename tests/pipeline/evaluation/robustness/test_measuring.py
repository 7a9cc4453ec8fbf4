import numpy as np
import pytest

from beam_jobs.embedding.embedder import Framing
from beam_jobs.embedding.read import Embeddings
from components.errors import UserError
from pipeline.evaluation.robustness import measuring
from pipeline.evaluation.robustness.perturbations import KINDS, perturb
from tests.components import stored_embeddings
from tests.components.harness import RecordedProgress
from tests.components.stored_examples import sound, write_examples

FRAMING = Framing(sample_rate=16000, window_samples=4000, hop_samples=2000)


class LevelEmbedder:
    """An embedding of two values: the level of a window and that of its differences."""

    framing = FRAMING
    dims = {"levels": 1, "differences": 1}

    def __init__(self):
        self.windows = 0

    def embed(self, windows):
        self.windows += len(windows)
        differences = np.abs(np.diff(windows, axis=1)).mean(axis=1, keepdims=True)
        return {"levels": np.abs(windows).mean(axis=1, keepdims=True), "differences": differences}


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    clips = [(sound(k % 2, seconds=0.5, seed=k), (k % 2,) if k < 18 else (), 0) for k in range(20)]
    return write_examples(
        tmp_path_factory.mktemp("robustness") / "examples",
        {"train": clips, "eval": clips[:12]},
        label_names=("tone", "noise"),
    )


@pytest.fixture
def embeddings(tmp_path):
    folder = stored_embeddings.write_embeddings(
        tmp_path / "embeddings",
        {"train": [((k % 2,), 0, 2) for k in range(20)]},
        {"trained": {"levels": (1, 3.0), "differences": (1, 3.0)}},
        label_names=("tone", "noise"),
    )
    return Embeddings(folder)


def test_the_sample_comes_from_the_test_clips_and_is_always_the_same(examples):
    sample, again = (measuring.draw(examples, clips=7) for _ in range(2))
    assert len(sample.audio) == 7
    assert sample.clip_ids == again.clip_ids
    assert all(clip_id.startswith("eval") for clip_id in sample.clip_ids)
    assert sample.targets.sum() == 7


def test_vectors_are_means_over_windows_of_what_was_perturbed(examples):
    sample = measuring.draw(examples, clips=3)
    vectors = measuring.embed(sample, LevelEmbedder(), kind="gain", level=-20.0)
    for row, audio, clip_id in zip(vectors, sample.audio, sample.clip_ids, strict=True):
        wave = perturb(audio / np.float32(32768), sample_rate=16000, kind="gain", level=-20.0, clip_id=clip_id)
        windows = np.stack([wave[start : start + 4000] for start in (0, 2000, 4000)])
        expected = LevelEmbedder().embed(windows)
        np.testing.assert_allclose(
            row, np.hstack([expected["levels"], expected["differences"]]).mean(axis=0), rtol=0.01
        )


def test_a_stopped_measurement_goes_on_and_a_finished_one_embeds_nothing(examples, embeddings, tmp_path):
    sample = measuring.draw(examples, clips=4)
    work = tmp_path / "work"

    class Failing(LevelEmbedder):
        def embed(self, windows):
            if self.windows > 50:
                raise KeyboardInterrupt
            return super().embed(windows)

    with pytest.raises(KeyboardInterrupt):
        measuring.measure(sample, Failing(), embeddings, work=work, progress=RecordedProgress())
    (kept,) = work.iterdir()
    done = len(list(kept.glob("*.npy")))
    assert 1 < done < 10
    curves, seen = [], []
    for _ in range(2):
        embedder = LevelEmbedder()
        curves.append(measuring.measure(sample, embedder, embeddings, work=work, progress=RecordedProgress()))
        seen.append(embedder.windows)
    levels = sum(len(kind.levels) for kind in KINDS.values())
    next(kept.glob("gain_*.npy")).write_bytes(b"")  # As after a power cut.
    again = measuring.measure(sample, LevelEmbedder(), embeddings, work=work, progress=RecordedProgress())
    assert again == curves[0]
    assert seen == [(1 + levels - done) * 4 * 3, 0]
    assert curves[0] == curves[1]
    assert curves[0].metric == "accuracy"
    gain = curves[0].curves["gain"]
    assert gain.levels == KINDS["gain"].levels
    np.testing.assert_allclose(gain.cosines[:5], 1.0, atol=0.05)
    assert all(low <= mean <= 1 + 1e-9 for low, mean in zip(gain.low_cosines, gain.cosines, strict=True))


def test_an_embedding_that_is_not_finite_is_one_sentence_and_no_curve(examples, embeddings, tmp_path):
    """A delayed clip begins with silence, whose standard deviation is zero, and this model divides by it."""

    class Normalizing(LevelEmbedder):
        def embed(self, windows):
            deviation = windows.std(axis=1, keepdims=True)
            return super().embed(np.divide(windows, deviation, out=windows * np.nan, where=deviation > 0))

    with pytest.raises(UserError, match=r"the clip eval.* with delay \(300 ms\) an embedding that is not finite"):
        measuring.measure(
            measuring.draw(examples, clips=4),
            Normalizing(),
            embeddings,
            work=tmp_path / "work",
            progress=RecordedProgress(),
        )


def test_cosines_of_zeros():
    clean = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    perturbed = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    np.testing.assert_allclose(measuring._cosines(clean, perturbed), [1.0, 0.0, np.sqrt(0.5)])
