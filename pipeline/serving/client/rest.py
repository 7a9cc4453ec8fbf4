"""TensorFlow Serving's REST API, which `diptych serve` has as well."""

import contextlib
import re
from collections.abc import Iterator, Mapping

import numpy as np
import orjson
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from beam_jobs import error_text
from beam_jobs.embedding.embedder import Framing
from components.errors import UserError
from pipeline.serving.client import servers
from pipeline.serving.client.servers import Described

_NUMBER = re.compile(r"^\[Errno \d+\] ")
_TOO_LARGE = 413
_TIMEOUT_S = (10.0, 300.0)
"""To connect, and to answer."""

# With a pause that doubles from half a second, or with that of Retry-After: about two minutes.
_RETRIES = Retry(
    total=8,
    connect=4,
    status_forcelist=(429, 502, 503, 504),
    allowed_methods=None,
    backoff_factor=0.5,
    backoff_max=60,
    raise_on_status=False,
)


class RestServer:
    """A server at an http:// or https:// address; see `servers.Server`."""

    def __init__(self, url: str, *, name: str):
        self.url = url
        self.name = name
        self._model = f"{url.rstrip('/')}/v1/models/{name}"
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=_RETRIES))

    def newest_version(self) -> int:
        answer = self._ask("/metadata")
        with self._understood():
            return int(answer["model_spec"]["version"])

    def described(self, version: int) -> Described | None:
        answer = self._ask(f"/versions/{version}/metadata")
        with self._understood():
            info = answer["metadata"].get("embedding_info")
            if info is None:
                return None
            framing = Framing(
                sample_rate=int(info["sample_rate"]),
                window_samples=int(info["crop_samples"]),
                hop_samples=int(info["stride_samples"]),
            )
            return Described(framing=framing, dims={name: int(dim) for name, dim in info["dims"].items()})

    def predict(self, audio: np.ndarray, *, version: int) -> Mapping[str, np.ndarray]:
        body = orjson.dumps({"inputs": audio}, option=orjson.OPT_SERIALIZE_NUMPY)
        answer = self._ask(f"/versions/{version}:predict", body=body)
        with self._understood():
            outputs = answer["outputs"]
            if isinstance(outputs, list):  # A model with one output.
                outputs = {"embedding": outputs}
            return {name: np.array(values, np.float32) for name, values in outputs.items()}

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        """Turns the errors of an answer that has another form than it should into a UserError."""
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise servers.refused(self.url, "its answer has another form than TensorFlow Serving's") from error

    def _ask(self, path: str, *, body: bytes | None = None) -> dict:
        headers = {"content-type": "application/json"}
        try:
            answer = self._session.request(
                "GET" if body is None else "POST", self._model + path, data=body, headers=headers, timeout=_TIMEOUT_S
            )
            document = answer.json()
        except requests.JSONDecodeError as error:
            reason = f"its answer with status {answer.status_code} is not JSON"
            raise self._refusal(answer.status_code, reason) from error
        except requests.RequestException as error:
            raise servers.unreachable(self.url, _reason(error)) from error
        if not answer.ok:
            reason = document.get("error") if isinstance(document, dict) else None
            raise self._refusal(answer.status_code, str(reason or f"it answers with status {answer.status_code}"))
        return document

    def _refusal(self, status: int, reason: str) -> UserError:
        error = servers.too_large if status == _TOO_LARGE else servers.refused
        return error(self.url, reason)


def _reason(error: requests.RequestException) -> str:
    """Returns the last part of the message, which is the system's; those before repeat the address."""
    return _NUMBER.sub("", error_text.first_line(error).rpartition(": ")[2].rstrip("')\""))
