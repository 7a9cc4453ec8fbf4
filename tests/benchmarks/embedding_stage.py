"""Speed and memory of the Embedder's job: `python -m tests.benchmarks.embedding_stage`.

The job embeds stored clips of 10 s with the exported models of presets, and the same encoders embed full batches of
windows in a loop, which is the most that they can do. Both run in turns, each in a fresh process, and neither counts
the loading of the model. Then a small model embeds 1,000 to 100,000 clips of 1 s, each number in a fresh process, to
show that memory does not grow.
"""

import argparse
import json
import math
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping

from beam_jobs.embedding.embedder import BATCH_SIZE
from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS

CLIP_S = 10.0
CLIPS = {"tiny": 640, "small": 64, "base": 64}
"""Preset -> number of clips, which take a minute or two on two cores."""
MEMORY_CLIPS = (1_000, 10_000, 100_000)
MEMORY_MODEL = {"width": 0.03125, "crop_seconds": 1.0}
_MODULE = "tests.benchmarks.embedding_stage"


def main() -> None:
    """Runs the command, or one measurement in a process that the command started."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="*", default=list(CLIPS), help="presets whose models are measured")
    parser.add_argument("--repeats", type=int, default=3, help="how often each is measured")
    parser.add_argument("--memory_clips", type=int, nargs="*", default=MEMORY_CLIPS, help="numbers of clips of 1 s")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    parser.add_argument("--export", nargs=2, metavar=("CONFIG", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--write", nargs=3, metavar=("CLIPS", "SECONDS", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--job", nargs=3, metavar=("MODEL", "EXAMPLES", "WORK"), help=argparse.SUPPRESS)
    parser.add_argument("--loop", nargs=2, metavar=("MODEL", "WINDOWS"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.export:
        _export(json.loads(flags.export[0]), flags.export[1])
    elif flags.write:
        clips, seconds, folder = flags.write
        sounds = measuring.sounds(seconds=float(seconds))
        measuring.write_examples(pathlib.Path(folder), sounds=sounds, clips=int(clips))
        print("{}")
    elif flags.job:
        print(json.dumps(_job(*flags.job)))
    elif flags.loop:
        print(json.dumps(_loop(flags.loop[0], windows=int(flags.loop[1]))))
    else:
        _measure(flags)


def _measure(flags: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        figures = {
            "clips": f"{CLIP_S:g} s, 16 kHz, PCM, in 16 files",
            "batch": BATCH_SIZE,
            "speed": {preset: _speed(preset, folder / preset, repeats=flags.repeats) for preset in flags.presets},
            "memory_model": f"encoders of width {MEMORY_MODEL['width']:g} and sub-clips of 1 s; clips of 1 s",
            "memory": {str(clips): _memory(clips, folder / str(clips)) for clips in flags.memory_clips},
        }
    measuring.save("embedding_stage", figures, results=flags.results)


def _speed(preset: str, folder: pathlib.Path, *, repeats: int) -> dict[str, float | int]:
    """Returns clips and windows per second of the job and of the loop, and the ratio of their medians."""
    # Imported here because the processes that measure need none of this.
    from pipeline.configs import presets

    config = presets.config(preset).trainer.model.model_dump()
    measuring.in_a_fresh_process(_MODULE, "--export", json.dumps(config), folder / "model")
    measuring.in_a_fresh_process(_MODULE, "--write", CLIPS[preset], CLIP_S, folder / "examples")
    jobs, loops = [], []
    for repeat in range(repeats):
        work = folder / f"work{repeat}"
        jobs.append(measuring.in_a_fresh_process(_MODULE, "--job", folder / "model", folder / "examples", work))
        loops.append(measuring.in_a_fresh_process(_MODULE, "--loop", folder / "model", jobs[0]["windows"]))
        print(preset, jobs[-1], loops[-1], flush=True)
    clips = CLIPS[preset]
    seconds, cpu_s = (statistics.median(job[key] for job in jobs) for key in ("seconds", "cpu_s"))
    loop_seconds, loop_cpu_s = (statistics.median(loop[key] for loop in loops) for key in ("seconds", "cpu_s"))
    return {
        "clips": clips,
        "windows": jobs[0]["windows"],
        "clips_per_s": round(clips / seconds, 2),
        "encoder_clips_per_s": round(clips / loop_seconds, 2),
        "share_of_encoder": round(loop_seconds / seconds, 3),
        "cpu_share_of_encoder": round(loop_cpu_s / cpu_s, 3),
        "real_time_factor": round(clips * CLIP_S / seconds, 1),
    }


def _memory(clips: int, folder: pathlib.Path) -> dict[str, float | int]:
    measuring.in_a_fresh_process(_MODULE, "--export", json.dumps(MEMORY_MODEL), folder / "model")
    measuring.in_a_fresh_process(_MODULE, "--write", clips, 1.0, folder / "examples")
    job = measuring.in_a_fresh_process(_MODULE, "--job", folder / "model", folder / "examples", folder / "work")
    return {"peak_mib": job["peak_mib"], "clips_per_s": round(clips / job["seconds"], 1)}


def _export(config: Mapping[str, object], folder: str) -> None:
    # Imported here because the other processes need neither Keras nor the Exporter.
    import keras

    from components.exporter import saved_model
    from models import dual
    from models.config import ModelConfig

    keras.utils.set_random_seed(0)
    saved_model.export(dual.DualEncoder(ModelConfig(**config)), pathlib.Path(folder))
    print("{}")


def _job(model: str, folder: str, work: str) -> dict[str, float | int]:
    """Embeds examples with the job of the stage."""
    # Imported here because the other processes do without Beam.
    from beam_jobs import examples
    from beam_jobs.embedding import job
    from beam_jobs.embedding.shared import SharedEmbedders
    from components.embedder.loaders import TRAINED, TrainedLoader

    embedders = SharedEmbedders([TrainedLoader(model)])
    _warm_up(embedders.get(TRAINED))
    embedding_job = job.Job(
        info=examples.read_info(folder),
        embedders=embedders,
        digests={TRAINED: "benchmark"},
        limits={TRAINED: None},
        row="window",
        batch_size=BATCH_SIZE,
    )
    started, cpu_started = time.perf_counter(), time.process_time()
    finished = job.write_shards(embedding_job, work_dir=work)
    return {
        "windows": sum(record.rows for record in finished),
        "seconds": time.perf_counter() - started,
        "cpu_s": time.process_time() - cpu_started,
        "peak_mib": measuring.peak_kib() // 1024,
    }


def _loop(model: str, *, windows: int) -> dict[str, float]:
    """Embeds as many windows in full batches."""
    # Imported here for the reason above.
    from components.embedder.loaders import TrainedLoader

    embedder = TrainedLoader(model).load()
    batch = _warm_up(embedder)
    batches = math.ceil(windows / BATCH_SIZE)
    started, cpu_started = time.perf_counter(), time.process_time()
    for _ in range(batches):
        embedder.embed(batch)
    share = windows / (batches * BATCH_SIZE)
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
    return {"seconds": seconds * share, "cpu_s": cpu_s * share}


def _warm_up(embedder):
    """Embeds a batch, and returns it, float32 (windows, samples)."""
    # Imported here because the parent process, which only waits, needs no NumPy.
    import numpy as np

    batch = np.random.default_rng(0).normal(scale=0.1, size=(BATCH_SIZE, embedder.framing.window_samples))
    batch = batch.astype(np.float32)
    embedder.embed(batch)
    return batch


if __name__ == "__main__":
    sys.exit(main())
