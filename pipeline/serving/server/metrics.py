"""What Prometheus reads at `/metrics`."""

import prometheus_client
from prometheus_client import Counter, Gauge, Histogram

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_CLIPS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counts requests, batches and versions. Its methods may be called from any thread."""

    def __init__(self):
        self._registry = registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=registry)
        self._requests = Counter("diptych_requests", "Answered requests", ("api", "status"), registry=registry)
        self._seconds = Histogram(
            "diptych_request_seconds", "Time to the end of the answer", ("api",), buckets=_SECONDS, registry=registry
        )
        self._refused = Counter("diptych_refused", "Requests that were refused", ("reason",), registry=registry)
        self._in_progress = Gauge("diptych_requests_in_progress", "Requests that are admitted", registry=registry)
        self._waiting = Gauge("diptych_requests_waiting", "Requests that wait for the model", registry=registry)
        self._batch = Histogram(
            "diptych_batch_clips", "Clips that the model got at a time", buckets=_CLIPS, registry=registry
        )
        self._version = Gauge("diptych_model_version", "The version that is served", registry=registry)
        self._failed_loads = Counter(
            "diptych_failed_loads", "Versions that could not be loaded, each time", registry=registry
        )

    def render(self) -> bytes:
        """Returns all values in Prometheus' text format."""
        return prometheus_client.generate_latest(self._registry)

    def observe_request(self, api: str, status: int, *, seconds: float) -> None:
        """Counts an answer."""
        self._requests.labels(api, str(status)).inc()
        self._seconds.labels(api).observe(seconds)

    def count_refused(self, reason: str) -> None:
        """Counts a request that was refused, by a word for the reason."""
        self._refused.labels(reason).inc()

    def set_in_progress(self, requests: int) -> None:
        """Notes how many requests are admitted."""
        self._in_progress.set(requests)

    def set_waiting(self, requests: int) -> None:
        """Notes how many requests wait for the model."""
        self._waiting.set(requests)

    def observe_batch(self, clips: int) -> None:
        """Counts a batch."""
        self._batch.observe(clips)

    def set_version(self, number: int) -> None:
        """Notes the version that is served."""
        self._version.set(number)

    def count_failed_load(self) -> None:
        """Counts a version that could not be loaded."""
        self._failed_loads.inc()
