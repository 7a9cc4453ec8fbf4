"""`python -m tests.pipeline.runner.kill_campaign ROOT --kills 1000`: kills runs at random, and checks the root.

The stages are fakes with a fast clock: a run of all six takes a fraction of a second, in which each of them writes two
outputs of several files. The runner, its processes, the files, the lock and the metadata are real, and so are the
signals: each run is a process of its own, and ends by SIGKILL. Some of the processes are `diptych gc --delete`.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import signal
import sys
import time

from pipeline import cli
from pipeline.metadata.executions import FINISHED, State
from tests.pipeline.runner import chain, soundness, stages


def start(root, *, seed, gc=False):
    """Starts a run, or a garbage collection, as a process of its own, and returns its id."""
    child = os.fork()
    if child:
        return child
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    status = 1
    try:
        if gc:
            status = cli.main(["gc", "--delete", "--root", str(root)])
        else:
            stages.run(root, chain.build(seed))
            status = 0
    finally:
        os._exit(status)


def kill_after(child, seconds):
    """Kills a process after some time, and returns whether it had not ended by itself."""
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def finish(root, *, seed):
    """Lets a run end by itself, and checks the root and what the run wrote."""
    assert os.waitstatus_to_exitcode(os.waitpid(start(root, seed=seed), 0)[1]) == 0
    soundness.check_finished(root)
    store = soundness.store_of(root)
    executions = store.executions(run=store.runs()[-1])
    written = {
        f"{execution.stage}/{channel}/{file.name}": file.read_text()
        for execution in executions
        for channel, artifact in execution.outputs.items()
        for file in artifact.folder.iterdir()
    }
    assert written == chain.content(seed)


def campaign(root, *, kills, seed):
    """Kills runs, and returns how many died in each stage."""
    draws = random.Random(seed)
    finish(root, seed=0)
    began = time.monotonic()
    os.waitpid(start(root, seed=1), 0)
    duration = time.monotonic() - began
    verified: dict[str, dict] = {}
    counts, known, number = collections.Counter(), soundness.check(root, verified=verified), 1
    while counts.total() < kills:
        is_gc = draws.random() < 0.1
        if is_finished(root, seed=seed_of(number)):
            number += 1
        child = start(root, seed=seed_of(number), gc=is_gc)
        was_killed = kill_after(child, draws.uniform(0, duration))
        now = soundness.check(root, verified=verified)
        lost = {} if is_gc else known.keys() - now.keys()
        assert not lost
        known = now
        if not was_killed:
            continue
        counts["gc" if is_gc else running_stage(root)] += 1
        if counts.total() % 20 == 0:
            finish(root, seed=seed_of(number))
            known = soundness.check(root, verified=verified)
    finish(root, seed=0)
    return counts


def seed_of(number):
    """Returns the seed of a config. Every thirtieth makes a good model, which `diptych gc` keeps."""
    return 3 * number + (number % 30 > 0)


def is_finished(root, *, seed):
    """Returns whether a run with a config has finished. The next run then has another config, so that it is no skip."""
    last = soundness.store_of(root).executions(stage=chain.STAGES[-1], newest=1)
    return bool(last) and last[0].state in FINISHED and last[0].cache_key.config["seed"] == seed


def running_stage(root):
    """Returns the stage that a killed run was in."""
    running = soundness.store_of(root).executions(states=[State.RUNNING])
    return running[-1].stage if running else "between stages"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.root.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    counts = campaign(arguments.root, kills=arguments.kills, seed=arguments.seed)
    print(json.dumps({"kills": dict(counts), "seconds": round(time.monotonic() - started, 1)}))


if __name__ == "__main__":
    main()
