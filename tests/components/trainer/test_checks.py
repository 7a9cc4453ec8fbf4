import json

import pytest
from etils import epath

from beam_jobs import examples
from components.errors import UserError
from components.trainer import checks
from tests.components import stored_examples
from tests.components.trainer import trainer_runs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 22}, "trainer.batch_size=22 is more than the 21 clips.*at most 21"),
        ({"batch_size": 44, "pairs_per_clip": 2}, "=44 is more than 2 pairs of each of the 21 clips.*at most 42"),
        ({"model__sample_rate": 22050}, "trainer.model.sample_rate=22050 is not that of the examples, 16000 Hz"),
        ({"model__n_mels": 400}, "trainer.model: 400 bands are too many.*choose fewer"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(inputs, tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        trainer_runs.execute(trainer_runs.config(**changes), inputs, tmp_path)


def test_a_fatal_anomaly_stops_training(inputs, tmp_path):
    anomalies = [
        {"severity": "warning", "name": "quiet", "message": "Quiet."},
        {"severity": "fatal", "name": "few", "message": "Only one clip."},
    ]
    (tmp_path / "anomalies.json").write_text(json.dumps(anomalies))
    with pytest.raises(UserError, match="cannot be trained on: Only one clip"):
        trainer_runs.execute(trainer_runs.config(), {**inputs, "anomalies": epath.Path(tmp_path)}, tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "replicas", "message"),
    [
        ({"batch_size": 8}, 3, "trainer.batch_size=8 cannot be split evenly among 3 replicas: choose 6, or"),
        ({"batch_size": 64, "micro_batch": 48}, 1, "trainer.micro_batch=48 does not divide 64: choose a divisor"),
        ({"batch_size": 64, "micro_batch": 64}, 2, "does not divide a replica's 32 pairs of trainer.batch_size=64"),
        (
            {"batch_size": 64, "micro_batch": 16},
            1,
            "are not a multiple of trainer.model.mixing_group=32: make trainer.micro_batch",
        ),
        (
            {"batch_size": 64},
            4,
            "are not a multiple of .*mixing_group=32: make trainer.batch_size a multiple of 128, or",
        ),
        ({"batch_size": 8, "pairs_per_clip": 5}, 1, "leaves less than two clips .*batch_size=8: choose at most 4"),
        (
            {"batch_size": 128, "pairs_per_clip": 32},
            1,
            "fills trainer.model.mixing_group=32 .* make trainer.model.mixing_group more than 32",
        ),
        ({"batch_size": 18, "pairs_per_clip": 6}, 2, "pairs_per_clip=6 does not divide the 9 pairs"),
        ({"batch_size": 24, "micro_batch": 8, "pairs_per_clip": 3}, 1, "pairs_per_clip=3 does not divide the 8 pairs"),
    ],
)
def test_a_batch_that_cannot_be_split_is_refused(changes, replicas, message):
    with pytest.raises(UserError, match=message):
        checks.check_batch_size(trainer_runs.config(**changes), replicas=replicas)


@pytest.mark.parametrize(
    ("changes", "replicas", "micro_batch"),
    [
        ({"batch_size": 8}, 1, 8),  # The batch is smaller than a mixing group, and becomes the group.
        ({"batch_size": 128}, 4, 32),
        ({"batch_size": 256, "micro_batch": 64}, 2, 64),
        ({"batch_size": 6, "model__augment_a__mixing": False, "model__augment_b__mixing": False}, 3, 2),
    ],
)
def test_the_number_of_clips_that_a_replica_embeds_at_a_time(changes, replicas, micro_batch):
    config = trainer_runs.config(**changes)
    checks.check_batch_size(config, replicas=replicas)
    assert config.micro_batch_size(replicas=replicas) == micro_batch


def test_crops_longer_than_every_clip_are_refused_unless_clips_are_repeated(inputs):
    info = examples.read_info(inputs["examples"])
    checks.check_crops(trainer_runs.config(short_clips="tile"), info, crop_samples=16001)
    checks.check_crops(trainer_runs.config(short_clips="pad"), info, crop_samples=16000)
    with pytest.raises(UserError, match=r"crop_seconds=0.5 is longer than every clip \(the longest has 1 s\)"):
        checks.check_crops(trainer_runs.config(short_clips="pad"), info, crop_samples=16001)


def test_one_clip_alone_has_no_negatives(tmp_path):
    folder = stored_examples.write_examples(tmp_path / "examples", {"train": [(stored_examples.sound(0), (), 0)]})
    with pytest.raises(UserError, match="has 1 clip, and training needs at least 2: add audio"):
        checks.check_examples(trainer_runs.config(batch_size=2), examples.read_info(folder))
