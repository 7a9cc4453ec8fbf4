"""TensorFlow's client for Cloud Storage, which reads and writes TFRecords, checkpoints and SavedModels."""

import os
import subprocess
import sys

import pytest

# TensorFlow reads them once in a process.
_DEADLINES = ("REQUEST_IDLE_TIMEOUT", "METADATA_REQUEST_TIMEOUT", "READ_REQUEST_TIMEOUT", "WRITE_REQUEST_TIMEOUT")
_PROGRAM = """
import tensorflow as tf

tf.io.write_file("gs://bucket/file", b"content")
assert tf.io.read_file("gs://bucket/file") == b"content"
"""


@pytest.mark.slow
def test_a_service_that_does_not_answer_is_asked_again_after_the_deadline(buckets):
    buckets.disturb(first_tries="silence")
    environment = {**os.environ, **buckets.environment, **{f"GCS_{name}_SECS": "1" for name in _DEADLINES}}
    subprocess.run([sys.executable, "-c", _PROGRAM], env=environment, check=True, timeout=300)
    kinds = [request.kind for request in buckets.requests()]
    assert (kinds.count("upload") >= 4, kinds.count("read") >= 2) == (True, True)
