"""Speed and memory of `diptych serve` under load: `python -m tests.benchmarks.serving`.

For the encoders of each preset it measures, on the loopback interface,

* the model alone, called with full batches of windows in a loop: the peak, before and after each of the loads,
* the server with many clients that send one window at a time, after the JSON of KServe v2, and in TensorFlow Serving's
  JSON as a WAV file (if the model takes any) and as numbers; and with one client,
* the server at ten times the requests that it can answer: what it answers, and its memory,
* clients that behave while others send nonsense, bodies that are too large, or a byte a second,
* SIGTERM under load: whether a request that was begun is lost.

The clients run in a process of their own, on the same cores as the server. That takes from the server's share of the
peak what they need, so the share of the peak in processor time is measured as well.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS

PRESETS = ("tiny", "small")
CLIENTS = 32
WAYS = {
    "binary": ("binary", CLIENTS),
    "wav": ("wav", CLIENTS),
    "json": ("json", CLIENTS),
    "one_client": ("binary", 1),
}
"""Name -> the kind of load, see `tests.benchmarks.load`, and the number of clients."""

OVERLOAD = 10
OVERLOAD_CLIENTS = 400
_MODULE, _LOAD = "tests.benchmarks.serving", "tests.benchmarks.load"
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Runs the command, or what it starts in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="*", default=PRESETS, help="encoders to measure")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each measurement takes")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    parser.add_argument("--export", nargs=2, metavar=("PRESET", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--peak", metavar="FOLDER", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.export:
        _export(*flags.export)
    elif flags.peak:
        print(json.dumps(_peak(flags.peak, seconds=flags.seconds)))
    else:
        load = round(os.getloadavg()[0], 1)
        with tempfile.TemporaryDirectory() as folder:
            measured = {name: _measure(f"{folder}/{name}", name, seconds=flags.seconds) for name in flags.presets}
        figures = {"seconds": flags.seconds, "load": load, "presets": measured}
        measuring.save("serving", figures, results=flags.results)


def _measure(model: str, preset: str, *, seconds: float) -> dict[str, object]:
    subprocess.run([sys.executable, "-m", _MODULE, "--export", preset, model], check=True)
    peaks = [_peak_in_a_fresh_process(model, seconds=seconds)]
    samples, window_s = int(peaks[0]["samples"]), peaks[0]["window_s"]
    ways = {}
    with _Server.serving(model) as server:
        # The first seconds make the server's memory as large as it gets in ordinary work.
        server.load("binary", seconds=seconds / 4, clients=CLIENTS, samples=samples)
        for name, (kind, clients) in WAYS.items():
            if kind == "wav" and not peaks[0]["takes_wav"]:
                continue
            way = server.load(kind, seconds=seconds, clients=clients, samples=samples)
            # The server has nothing to do meanwhile.
            peaks.append(_peak_in_a_fresh_process(model, seconds=seconds))
            ways[name] = _shares(way, peaks[-2:])
        rate = OVERLOAD * ways["binary"]["per_s"]
        overload = server.load("binary", seconds=seconds, clients=OVERLOAD_CLIENTS, rate=rate, samples=samples)
        attack = server.attacked(seconds=seconds, samples=samples)
        drain = server.ended(samples=samples)
    return {
        "window_s": window_s,
        "peak_windows_per_s": round(statistics.mean(peak["per_s"] for peak in peaks), 2),
        "batch_clips": server.batch_clips,
        **ways,
        "overload": overload,
        "attack": attack,
        "drain": drain,
    }


def _shares(way: dict, peaks: Sequence[Mapping[str, float]]) -> dict[str, object]:
    """Adds the shares of the peaks before and after to the figures of a load."""
    server_s, clients_s = way.pop("processor_s"), way.pop("clients_processor_s")
    alone_s = statistics.mean(peak["processor_s"] for peak in peaks)
    return {
        **way,
        "share": round(way["per_s"] / statistics.mean(peak["per_s"] for peak in peaks), 3),
        "processor_share": round(alone_s * way["statuses"].get("200", 0) / server_s, 3),
        "clients_share": round(clients_s / (clients_s + server_s), 3),
    }


def _peak_in_a_fresh_process(model: str, *, seconds: float) -> dict[str, float]:
    return measuring.in_a_fresh_process(_MODULE, "--peak", model, "--seconds", seconds)


class _Server:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen, url: str):
        self._process = process
        self._url = url
        self.batch_clips = 0.0

    @classmethod
    @contextlib.contextmanager
    def serving(cls, model: str) -> Iterator["_Server"]:
        command = [sys.executable, "-m", "pipeline.cli", "serve", "--model", model, "--port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            said = process.stdout.readline()
            yield cls(process, re.search(r"http://[\d.:]+", said)[0])
        finally:
            process.kill()
            process.wait()

    def load(
        self, kind: str, *, seconds: float, clients: int, samples: int, rate: float = 0.0
    ) -> dict[str, float | dict[str, int]]:
        """Returns the figures of a load, with the server's processor time and its memory before and at the most."""
        before, processor_s = self._memory_mib(), self._processor_s()
        peak = before
        process = self._start(kind, seconds=seconds, clients=clients, samples=samples, rate=rate)
        while process.poll() is None:
            peak = max(peak, self._memory_mib())
            time.sleep(0.2)
        figures = json.loads(process.stdout.read())
        self.batch_clips = self.batch_clips or self._batch_clips()
        figures["processor_s"] = self._processor_s() - processor_s
        return {**figures, "memory_before_mib": before, "memory_peak_mib": peak}

    def attacked(self, *, seconds: float, samples: int) -> dict[str, object]:
        """Returns the figures of clients that behave while others do not, and those of the others."""
        others = self._start("attack", seconds=seconds, clients=0, samples=0)
        good = self.load("binary", seconds=seconds, clients=4, samples=samples)
        text, _ = others.communicate()
        return {"good": good, "bad": json.loads(text)["statuses"]}

    def ended(self, *, samples: int) -> dict[str, object]:
        """Ends the server under load, and returns what its clients got and how long it took."""
        process = self._start("binary", seconds=3.0, clients=CLIENTS, samples=samples)
        time.sleep(1.5)
        started = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        took: list[float] = []
        waiting = threading.Thread(target=lambda: took.append((self._process.wait(), time.monotonic() - started)[1]))
        waiting.start()
        text, _ = process.communicate()
        waiting.join()
        statuses = json.loads(text)["statuses"]
        return {"seconds": round(took[0], 1), "exit_status": self._process.returncode, "statuses": statuses}

    def _start(self, kind: str, *, seconds: float, clients: int, samples: int, rate: float = 0.0) -> subprocess.Popen:
        arguments = [self._url, kind, seconds, clients, rate, samples]
        return subprocess.Popen([sys.executable, "-m", _LOAD, *map(str, arguments)], stdout=subprocess.PIPE, text=True)

    def _memory_mib(self) -> int:
        text = pathlib.Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) // 1024

    def _processor_s(self) -> float:
        fields = pathlib.Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def _batch_clips(self) -> float:
        """Returns the mean number of clips in a batch so far."""
        with urllib.request.urlopen(self._url + "/metrics") as answer:
            text = answer.read().decode()
        count, total = (
            float(re.search(rf"^diptych_batch_clips_{part} (\S+)$", text, re.MULTILINE)[1]) for part in ("count", "sum")
        )
        return round(total / count, 1)


def _peak(model: str, *, seconds: float) -> dict[str, float]:
    """Returns the speed of full batches, windows per second, and the processor time of a window."""
    # Imported here because the parent process needs no TensorFlow.
    from beam_jobs.embedding.embedder import BATCH_SIZE
    from pipeline.serving.embedding.exported_model import ExportedModel
    from pipeline.serving.server import served, versions

    takes_wav = "wav_bytes" in served.load(versions.to_begin_with(model)[0]).signatures
    embedder = ExportedModel(model).load()
    samples = embedder.framing.window_samples
    noise = np.random.default_rng(0).normal(size=(BATCH_SIZE, samples)).astype(np.float32) / 8
    for _ in range(3):
        embedder.embed(noise)
    started, processor_s, windows = time.perf_counter(), time.process_time(), 0
    while (took := time.perf_counter() - started) < seconds / 2:
        embedder.embed(noise)
        windows += BATCH_SIZE
    return {
        "per_s": windows / took,
        "processor_s": (time.process_time() - processor_s) / windows,
        "samples": samples,
        "window_s": samples / embedder.framing.sample_rate,
        "takes_wav": takes_wav,
    }


def _export(preset: str, folder: str) -> None:
    # Imported here for the reason above.
    import keras

    from components.exporter import saved_model
    from models import dual
    from pipeline.configs import presets

    keras.utils.set_random_seed(0)
    saved_model.export(dual.DualEncoder(presets.config(preset).trainer.model), pathlib.Path(folder))


if __name__ == "__main__":
    main()
