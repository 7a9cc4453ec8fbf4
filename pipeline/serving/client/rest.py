"""TensorFlow Serving's REST API, which `diptych serve` has as well."""

import re
from collections.abc import Mapping

import numpy as np
import orjson
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from beam_jobs import error_text
from beam_jobs.embedding.embedder import Framing
from pipeline.serving.client import servers
from pipeline.serving.client.servers import Described

_NUMBER = re.compile(r"^\[Errno \d+\] ")
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
        return int(self._ask("/metadata")["model_spec"]["version"])

    def described(self, version: int) -> Described | None:
        info = self._ask(f"/versions/{version}/metadata")["metadata"].get("embedding_info")
        if info is None:
            return None
        framing = Framing(
            sample_rate=info["sample_rate"], window_samples=info["crop_samples"], hop_samples=info["stride_samples"]
        )
        return Described(framing=framing, dims=info["dims"])

    def predict(self, audio: np.ndarray, *, version: int) -> Mapping[str, np.ndarray]:
        body = orjson.dumps({"inputs": audio}, option=orjson.OPT_SERIALIZE_NUMPY)
        outputs = self._ask(f"/versions/{version}:predict", body=body)["outputs"]
        if isinstance(outputs, list):  # A model with one output.
            outputs = {"embedding": outputs}
        return {name: np.array(values, np.float32) for name, values in outputs.items()}

    def _ask(self, path: str, *, body: bytes | None = None) -> dict:
        headers = {"content-type": "application/json"}
        try:
            answer = self._session.request(
                "GET" if body is None else "POST", self._model + path, data=body, headers=headers, timeout=_TIMEOUT_S
            )
            document = answer.json()
        except requests.JSONDecodeError as error:
            raise servers.refused(self.url, f"its answer with status {answer.status_code} is not JSON") from error
        except requests.RequestException as error:
            raise servers.unreachable(self.url, _reason(error)) from error
        if not answer.ok:
            raise servers.refused(self.url, str(document.get("error", answer.status_code)))
        return document


def _reason(error: requests.RequestException) -> str:
    """Returns the last part of the message, which is the system's; those before repeat the address."""
    return _NUMBER.sub("", error_text.first_line(error).rpartition(": ")[2].rstrip("')\""))
