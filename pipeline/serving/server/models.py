"""The version that is served, and the change to another one when it appears in the folder."""

import dataclasses
import gc
import threading

from absl import logging

from components.errors import UserError
from diptych import bundled, runtimes
from pipeline.serving.server import served, served_file, versions
from pipeline.serving.server.limits import Refused
from pipeline.serving.server.metrics import Metrics
from pipeline.serving.server.served import ServedVersion
from pipeline.serving.server.versions import Version

POLL_S = 2.0
"""How often the folder is looked at."""

_RETRY_POLLS = 15


@dataclasses.dataclass
class _Failure:
    """A version that could not be loaded.

    Attributes:
        version: The version.
        message: Why.
        polls: How many times the folder has been looked at since.
    """

    version: Version
    message: str
    polls: int = 0


class Models:
    """Serves the newest version in a folder, or one SavedModel or file. Its methods may be called from any thread.

    A request keeps the version that it began with, which leaves the memory after the last of these. A version that
    cannot be loaded is tried again every half minute; until then, an earlier one is served.

    Args:
        model: See `versions.newest`; or the name of a bundled model.
        name: What callers call the model.
        metrics: Counts the changes.

    Raises:
        UserError: There is no version, or it cannot be loaded.
    """

    def __init__(self, model: str, *, name: str, metrics: Metrics):
        self.name = name
        self._model = bundled.resolve(model)
        self._metrics = metrics
        self._failure: _Failure | None = None
        self._has_changed = False
        self._current = self._first()
        self._metrics.set_version(self._current.number)
        self._has_ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="versions", daemon=True)

    @property
    def current(self) -> ServedVersion:
        """The version that is served."""
        return self._current

    def find(self, name: str, *, version: int | None = None) -> ServedVersion:
        """Returns the version that a request asks for.

        Raises:
            Refused: There is no such model or version.
        """
        current = self._current
        if name != self.name:
            raise Refused(404, f"There is no model {name}: this server has {self.name}.")
        if version is not None and version != current.number:
            raise Refused(
                404, f"Version {version} of {name} is not served: ask for version {current.number}, or name none."
            )
        return current

    def states(self) -> list[dict[str, object]]:
        """Returns the states of the versions as TensorFlow Serving describes them."""
        states = [_state(self._current.number, "AVAILABLE", "OK", "")]
        failure = self._failure
        if failure is not None:
            states.insert(0, _state(failure.version.number, "END", "UNKNOWN", failure.message))
        return states

    def start(self) -> None:
        """Begins to look for new versions, unless the model is one SavedModel or file."""
        if not versions.is_single(self._model):
            self._watcher.start()

    def stop(self) -> None:
        """Ends that."""
        self._has_ended.set()

    def refresh(self) -> None:
        """Looks for another version, and serves it from the moment when it is loaded."""
        found = versions.newest(self._model)
        if found is None or found.number == self._current.number:
            self._failure = None
            if self._has_changed:
                gc.collect()  # Graphs are cyclic, and hold gigabytes in few objects.
                self._has_changed = False
            return
        if self._failure is not None and self._failure.version == found:
            self._failure.polls += 1
            if self._failure.polls % _RETRY_POLLS:
                return
        try:
            loaded = _load(found)
        except (UserError, OSError) as error:
            self._failure = _Failure(found, str(error))
            self._metrics.count_failed_load()
            logging.error("version %d cannot be served, and %d stays: %s", found.number, self._current.number, error)
            return
        self._current, self._failure, self._has_changed = loaded, None, True
        self._metrics.set_version(loaded.number)
        print(f"Serving version {loaded.number} of {self.name}", flush=True)

    def _first(self) -> ServedVersion:
        """Loads the newest version that can be loaded."""
        found = versions.to_begin_with(self._model)
        errors: list[UserError | OSError] = []
        for version in found:
            try:
                return _load(version)
            except (UserError, OSError) as error:
                errors.append(error)
                logging.error("version %d cannot be served: %s", version.number, error)
                self._metrics.count_failed_load()
                self._failure = self._failure or _Failure(version, str(error))
        raise errors[0]

    def _watch(self) -> None:
        while not self._has_ended.wait(POLL_S):
            try:
                self.refresh()
            except Exception:  # A bucket that does not answer is no reason to serve nothing.
                logging.exception("the folder of versions cannot be read; it is tried again")


def _load(version: Version) -> ServedVersion:
    return (served_file if runtimes.is_file(version.place) else served).load(version)


def _state(number: int, state: str, code: str, message: str) -> dict[str, object]:
    status = {"error_code": code, "error_message": message}
    return {"version": str(number), "state": state, "status": status}
