import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from beam_jobs import storage
from components.importer import read_model_config
from pipeline import cli
from tests import shared
from tests.components import stored_examples
from tests.components.trainer import cluster, training
from tests.corpora import ODD_NAME
from tests.pipeline.refusals import refusal

# The signal of a test must come before the last step, even on a busy machine.
STEPS = 12
OVERRIDES = [
    *(f"trainer.{name}={value}" for name, value in training.TINY.items()),
    *(f"trainer.{name.replace('__', '.')}={value}" for name, value in training.ONE_ENCODER.items()),
    "trainer.batch_size=8",
    f"trainer.steps={STEPS}",
    "trainer.steps_per_loop=1",
    "trainer.eval_every=3",
    "trainer.log_every=1",
]


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    clips = {
        split: [(stored_examples.sound(i % 2, seconds=1.0, seed=i), (i % 2,), 0) for i in range(count)]
        for split, count in (("train", 16), ("valid", 4))
    }

    def write(folder):
        return str(stored_examples.write_examples(folder / "examples", clips, label_names=("tone", "noise")))

    return shared.once(tmp_path_factory, "train", write)


def train(examples, output, *overrides):
    """Returns the arguments of a `diptych train` that takes `STEPS` steps."""
    return ["train", "--preset", "small", "--examples", examples, "--output", str(output), *OVERRIDES, *overrides]


@pytest.fixture(scope="module")
def trained(examples, tmp_path_factory):
    def execute(folder):
        assert cli.main(train(examples, folder / "output")) == 0
        return folder / "output"

    return shared.once(tmp_path_factory, "trained", execute)


def _weights(output, name="model.keras"):
    return keras.models.load_model(output / "model" / name, compile=False).get_weights()


@pytest.mark.slow
def test_the_output_may_have_any_name_and_the_training_resumes_there(examples, trained, tmp_path):
    output = tmp_path / ODD_NAME / "output"
    command = [sys.executable, "-m", "pipeline.cli", *train(examples, output)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while not list((output / "work" / "checkpoints").glob("*/checkpoint.json")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    resumed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "resumed at step" in resumed
    assert "damaged" not in resumed
    for resumed_weights, expected in zip(_weights(output), _weights(trained), strict=True):
        np.testing.assert_array_equal(resumed_weights, expected)


def test_the_trained_model_can_be_imported_into_the_pipeline(trained):
    assert read_model_config(str(trained / "model"))["encoders"]["waveform"] == "conv160"
    record = json.loads((trained / "model" / "training.json").read_text())
    assert record["steps"] == STEPS
    assert (trained / "model_run" / "history.csv").exists()
    assert list((trained / "tensorboard").glob("events*"))


@pytest.mark.slow
def test_after_sigterm_the_same_command_continues_and_ends_in_the_same_weights(examples, trained, tmp_path, capfd):
    output = tmp_path / "stopped"
    command = [sys.executable, "-m", "pipeline.cli", *train(examples, output)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    history, deadline = output / "work" / "history.csv", time.monotonic() + 120
    while not history.exists() or len(history.read_text().splitlines()) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    output_text, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "Stopped by SIGTERM" in output_text
    assert not (output / "model" / "model.keras").exists()
    checkpoints = [path.name for path in (output / "work" / "checkpoints").iterdir()]
    # The signal may come while the best model's checkpoint is written. Its unfinished folder does not count.
    step = max(int(name.partition("-")[2]) for name in checkpoints if not name.endswith(storage.UNFINISHED))
    assert 2 <= step < STEPS
    assert cli.main(train(examples, output)) == 0
    assert int(re.search(rf"(\d+)/{STEPS} steps", capfd.readouterr().out)[1]) == step + 1
    for resumed_weights, expected in zip(_weights(output), _weights(trained), strict=True):
        np.testing.assert_array_equal(resumed_weights, expected)


@pytest.mark.slow
@pytest.mark.parametrize("keeps_running", [False, True])
def test_a_closed_terminal_saves_unless_nohup_keeps_the_training_running(examples, tmp_path, keeps_running):
    output = tmp_path / "output"
    command = [sys.executable, "-m", "pipeline.cli", *train(examples, output, "trainer.steps=40")]
    process, terminal = pty.fork()
    if not process:
        # The tests themselves may run under `nohup`.
        signal.signal(signal.SIGHUP, signal.SIG_IGN if keeps_running else signal.SIG_DFL)
        os.execv(command[0], command)
    history, deadline = output / "work" / "history.csv", time.monotonic() + 120
    while not history.exists() or len(history.read_text().splitlines()) < 3:
        assert time.monotonic() < deadline
        if select.select([terminal], [], [], 0.01)[0]:
            os.read(terminal, 10_000)
    os.close(terminal)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if keeps_running:
        assert status == 0
        assert json.loads((output / "model" / "training.json").read_text())["steps"] == 40
    else:
        assert status == 129
        assert len(history.read_text().splitlines()) < 40
        assert any(path.name.startswith("step-") for path in (output / "work" / "checkpoints").iterdir())


def test_a_second_training_into_the_same_output_is_refused_until_the_first_one_is_killed(examples, tmp_path, capsys):
    program = (
        "import sys, time; from pathlib import Path; from pipeline import file_lock\n"
        "with file_lock.held(Path(sys.argv[1])): print('held', flush=True); time.sleep(100)"
    )
    arguments = train(examples, tmp_path, "trainer.batch_size=32")
    first = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / ".lock")], stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"held\n"
    message = refusal(capsys, *arguments)
    assert f"--output {tmp_path} is in use by another `diptych train` (process {first.pid} on " in message
    assert not (tmp_path / "config.json").exists()
    first.kill()
    first.wait()
    assert "choose at most 16" in refusal(capsys, *arguments)


@pytest.mark.slow
def test_of_two_trainings_into_the_same_output_the_second_is_refused(examples, tmp_path):
    command = [sys.executable, "-m", "pipeline.cli", *train(examples, tmp_path / "output")]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    messages = [process.communicate(timeout=280)[1] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 2]
    assert sum("is in use by another `diptych train`" in message for message in messages) == 1


def _start_on_two_machines(tmp_path, *overrides):
    """Starts a training on 16 clips of two machines."""
    clips = {"train": [(stored_examples.sound(i % 2, seconds=0.5, seed=i), (i % 2,), 0) for i in range(16)]}
    folder = str(stored_examples.write_examples(tmp_path / "examples", clips, label_names=("tone", "noise")))
    fields = ("trainer.strategy=multi_worker", "trainer.batch_size=16", *overrides)
    command = [sys.executable, "-m", "pipeline.cli", *train(folder, tmp_path / "output", *fields)]
    return [
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for environment in cluster.environments(2)
    ]


@pytest.mark.slow
def test_a_loss_that_is_not_finite_names_the_clips_of_all_machines(tmp_path):
    machines = _start_on_two_machines(tmp_path, "trainer.learning_rate=1e38", "trainer.steps_per_loop=10")
    messages = [machine.communicate(timeout=280)[1] for machine in machines]
    assert [machine.returncode for machine in machines] == [2, 2]
    for message in messages:
        # A batch is all 16 clips.
        assert re.search(r"no longer finite at step \d+, on the clips (\S+, ){4}\S+ and 11 more", message), message


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_machine_that_dies_is_one_sentence_on_the_others(tmp_path, victim):
    machines = _start_on_two_machines(tmp_path, "trainer.steps=100000", "trainer.checkpoint_every=2")
    history, deadline = tmp_path / "output" / "work" / "history.csv", time.monotonic() + 200
    while not history.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    machines[victim].kill()
    survivor = machines[1 - victim]
    message = survivor.communicate(timeout=280)[1]
    machines[victim].communicate()
    assert survivor.returncode == 2
    assert "Another machine of TF_CONFIG has stopped" in message
    assert "Traceback" not in message


@pytest.mark.slow
def test_the_same_command_on_two_machines_trains_as_on_one(tmp_path):
    """A batch holds all clips and a crop is a whole clip, because two hosts order the clips differently than one.

    Few steps of LARS, because Adam makes steps of rounding errors where a gradient is zero, and every step amplifies
    them.
    """
    clips = {
        split: [(stored_examples.sound(i % 2, seconds=0.5, seed=i), (i % 2,), 0) for i in range(count)]
        for split, count in (("train", 16), ("valid", 4))
    }
    folder = str(stored_examples.write_examples(tmp_path / "examples", clips, label_names=("tone", "noise")))
    fields = {**training.ANY_ORDER, "batch_size": 16, "steps": 4, "steps_per_loop": 100, "log_every": 1}
    fields |= {"eval_every": 4, "optimizer": "lars", "learning_rate": 0.02}
    overrides = [f"trainer.{name.replace('__', '.')}={value}" for name, value in fields.items()]
    assert cli.main(train(folder, tmp_path / "one", *overrides, "trainer.strategy=one")) == 0
    command = train(folder, tmp_path / "two", *overrides, "trainer.strategy=multi_worker")
    machines = [
        subprocess.Popen([sys.executable, "-m", "pipeline.cli", *command], env=environment)
        for environment in cluster.environments(2)
    ]
    assert [machine.wait(timeout=280) for machine in machines] == [0, 0]
    initial = _weights(tmp_path / "one", "initial.keras")
    assert training.distance(_weights(tmp_path / "one"), initial) > 0.01
    assert training.distance(_weights(tmp_path / "two"), _weights(tmp_path / "one")) < 1e-5
    one, two = ((tmp_path / name / "model_run" / "history.csv").read_text().splitlines() for name in ("one", "two"))
    loss = one[0].split(",").index("loss")
    losses = [[float(row.split(",")[loss]) for row in history[1:]] for history in (one, two)]
    assert len(losses[0]) == 4
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


@pytest.mark.slow
def test_what_memory_does_not_hold_is_refused_with_a_micro_batch_that_it_holds(examples, tmp_path):
    """In processes of their own, with a real limit of TensorFlow's pool. Nothing rests on how TensorFlow fails."""
    larger = ["trainer.batch_size=16", "trainer.model.width=0.25", "trainer.model.crop_seconds=1", "trainer.steps=2"]
    larger += ["trainer.model.formats=waveform+log_mel"]

    def run(*changes):
        command = [sys.executable, "-m", "pipeline.cli", *train(examples, tmp_path / "output", *larger, *changes)]
        environment = {**os.environ, "TF_CPU_BFC_MEM_LIMIT_IN_MB": "130", "TF_CPP_MIN_LOG_LEVEL": "3"}
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    refused = run()
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    message = re.fullmatch(
        r"diptych: Training needs about \d+ MiB for a micro-batch of 16, and TensorFlow's pool "
        r"\(TF_CPU_BFC_MEM_LIMIT_IN_MB\) has at most \d+ MiB for it: use (trainer\.micro_batch=(4|8)), which .*\.\n",
        refused.stderr,
    )
    assert message
    assert not (tmp_path / "output" / "work" / "history.csv").exists()
    taken = run(message[1])
    assert taken.returncode == 0, taken.stderr
    assert "memory is not checked" not in taken.stderr


@pytest.mark.parametrize(
    "value", ["[]", "null", '{"cluster": {"worker": ["a:1", "b:1"]}}', '{"cluster": {}, "task": 0}']
)
def test_a_tf_config_that_does_not_name_this_machine_is_refused(examples, tmp_path, capsys, monkeypatch, value):
    monkeypatch.setenv("TF_CONFIG", value)
    message = refusal(capsys, *train(examples, tmp_path, "trainer.strategy=multi_worker"))
    assert 'TF_CONFIG does not say which machine this is: set it to {"cluster": {"worker": ["host0:port"' in message


def test_a_folder_without_examples_is_refused(tmp_path, capsys):
    message = refusal(capsys, *train(str(tmp_path), tmp_path / "output"))
    assert "there is no dataset_info.json; give the folder that AudioExampleGen published" in message


def test_an_output_with_another_training_is_refused(examples, trained, capsys):
    message = refusal(capsys, *train(examples, trained, "trainer.seed=1"))
    assert f"--output {trained} holds a training with another config or other examples" in message
    assert f"see {trained / 'config.json'}" in message


def test_a_refused_config_does_not_block_a_corrected_one(examples, tmp_path, capsys):
    corrected = tmp_path / "corrected"
    assert "choose at most 16" in refusal(capsys, *train(examples, corrected, "trainer.batch_size=32"))
    assert "divide 8: choose a divisor" in refusal(capsys, *train(examples, corrected, "trainer.micro_batch=3"))


def test_an_output_that_cannot_be_written_is_refused(examples, tmp_path, capsys):
    file = pathlib.Path(tmp_path, "file")
    file.write_text("")
    assert "cannot be written" in refusal(capsys, *train(examples, file / "output"))


def test_multi_worker_training_without_tf_config_is_refused(examples, tmp_path, capsys):
    assert "TF_CONFIG" in refusal(capsys, *train(examples, tmp_path / "many", "trainer.strategy=multi_worker"))
