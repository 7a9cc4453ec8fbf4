"""Requests that wait at the same time are embedded together."""

import asyncio
import concurrent.futures
import re
import threading
import types

import numpy as np
import pytest
import tensorflow as tf

from pipeline.serving.server import calls
from pipeline.serving.server.batching import Batcher
from pipeline.serving.server.limits import Limits
from pipeline.serving.server.metrics import Metrics
from pipeline.serving.server.served import Signature, Tensor
from tests.pipeline.serving.server.running import PREDICT, ask, error_of, running
from tests.pipeline.serving.server.test_rest import b64, wav

VERSION = types.SimpleNamespace(number=1, info=types.SimpleNamespace(crop_samples=1, sample_rate=1))


def signature_of(function):
    """Returns a signature from audio to an embedding that calls a function."""
    audio = Tensor(dtype=tf.float32, shape=(None, None))
    return Signature(name="x", inputs={"audio": audio}, outputs={"embedding": audio}, _function=function)


def batches(server):
    """Returns the number of batches so far, and of clips in them."""
    text = ask(server, "/metrics").text
    return [
        float(re.search(rf"^diptych_batch_clips_{part} (\S+)$", text, re.MULTILINE)[1]) for part in ("count", "sum")
    ]


def ask_all(server, documents):
    with concurrent.futures.ThreadPoolExecutor(len(documents)) as threads:
        return list(threads.map(lambda document: ask(server, PREDICT, document), documents))


def test_clips_of_one_length_share_a_batch_and_get_their_own_embeddings(server, signatures):
    rng = np.random.default_rng(3)
    clips = [rng.uniform(-1, 1, (1 + i % 3, 3000 + 1000 * (i % 2))).astype(np.float32) for i in range(48)]
    before = batches(server)
    answers = ask_all(server, [{"inputs": clip.tolist()} for clip in clips])
    for clip, answer in zip(clips, answers, strict=True):
        expected = signatures["serving_default"](audio=clip)["embedding"]
        np.testing.assert_allclose(answer.json()["outputs"]["embedding"], expected, rtol=1e-5, atol=1e-4)
    count, total = np.subtract(batches(server), before)
    assert total == sum(map(len, clips))
    assert count < len(clips)


def test_one_that_fails_costs_the_others_of_its_batch_nothing(server, signatures):
    sound = np.random.default_rng(4).uniform(-1, 1, 4000)
    expected = signatures["wav_bytes"](wav_bytes=np.array([wav(sound)], object))["embedding"][0]
    contents = [b"no sound" if i % 4 == 0 else wav(sound) for i in range(32)]
    requests = [{"signature_name": "wav_bytes", "instances": [b64(content)]} for content in contents]
    for i, answer in enumerate(ask_all(server, requests)):
        if i % 4 == 0:
            assert "The model refuses the input" in error_of(answer, status=400)
        else:
            np.testing.assert_allclose(answer.json()["predictions"][0], expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("batch_clips", [1, 3])
def test_no_batch_has_more_clips_than_allowed(versions, batch_clips):
    with running(versions, batch_clips=batch_clips) as server:
        ask_all(server, [{"inputs": [[0.5]] * 4} for _ in range(8)])
        count, total = batches(server)
    assert total == 32
    assert total / count <= batch_clips


def test_a_request_of_many_clips_lets_others_pass():
    begun, may_end, order = threading.Event(), threading.Event(), []

    def embed(inputs):
        first = inputs["audio"][0, 0]
        begun.set()
        if first == 0:
            may_end.wait(60)
        order.append(first)
        return {"embedding": inputs["audio"]}

    signature = signature_of(embed)
    limits = Limits(batch_clips=1)
    batcher = Batcher(clips=limits.batch_clips, metrics=Metrics())

    def call(clips):
        return calls.call(VERSION, signature, {"audio": clips}, batcher=batcher, limits=limits)

    async def both():
        many = asyncio.create_task(call(np.arange(5.0)[:, None]))
        await asyncio.to_thread(begun.wait)
        one = await call(np.array([[7.0]]))
        may_end.set()
        return await many, one

    many, one = asyncio.run(both())
    assert batcher.close(wait_s=60)
    np.testing.assert_array_equal(many["embedding"], np.arange(5.0)[:, None])
    np.testing.assert_array_equal(one["embedding"], [[7.0]])
    assert order == [7, 0, 1, 2, 3, 4]


def test_a_caller_that_goes_costs_the_others_of_its_batch_nothing():
    begun, may_end = threading.Semaphore(0), {1: threading.Event(), 2: threading.Event()}

    def embed(inputs):
        begun.release()
        may_end[len(inputs["audio"])].wait(60)
        return {"embedding": inputs["audio"] + 1}

    signature = signature_of(embed)
    batcher = Batcher(clips=8, metrics=Metrics())

    def call(value):
        return asyncio.create_task(batcher.run(VERSION, signature, {"audio": np.full((1, 1), value)}))

    async def four():
        busy = []
        for value in (0.0, 1.0):  # While both threads compute, the others wait.
            busy.append(call(value))
            await asyncio.to_thread(begun.acquire)
        goes, stays = call(2.0), call(3.0)
        await asyncio.sleep(0)
        may_end[1].set()
        await asyncio.to_thread(begun.acquire)  # These two are computed.
        goes.cancel()
        may_end[2].set()
        return await asyncio.wait_for(asyncio.gather(*busy, stays), 60)

    assert [outputs["embedding"] for outputs in asyncio.run(four())] == [1, 2, 4]
    assert batcher.close(wait_s=60)


def test_a_loop_that_ends_before_its_batch_does_not_end_the_threads():
    begun, may_go_on = threading.Event(), threading.Event()

    def embed(inputs):
        begun.set()
        may_go_on.wait(60)
        return {"embedding": inputs["audio"]}

    signature = signature_of(embed)
    batcher = Batcher(clips=8, metrics=Metrics())
    sound = {"audio": np.zeros((1, 1))}

    async def leave():
        task = asyncio.create_task(batcher.run(VERSION, signature, sound))
        await asyncio.to_thread(begun.wait, 60)
        task.cancel()

    asyncio.run(leave())
    may_go_on.set()
    for _ in range(3):
        assert asyncio.run(batcher.run(VERSION, signature, sound))["embedding"] == 0
    assert all(thread.is_alive() for thread in batcher._threads)
    assert batcher.close(wait_s=60)
