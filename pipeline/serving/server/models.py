"""The version that is served, and the change to another one when it appears in the folder."""

import contextlib
import dataclasses
import gc
import threading
from collections.abc import Sequence

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
    """Why a version could not be loaded.

    Attributes:
        message: The reason.
        polls: How many times the folder has been looked at since.
    """

    message: str
    polls: int = 0


class Models:
    """Serves the newest version in a folder, or one SavedModel or file. Its methods may be called from any thread.

    The version before is kept for requests that name it, such as those of a client that began with it, until there is
    another change or it is removed: two versions are in memory, and three while the next one loads. A request keeps the
    version that it began with. A version that cannot be loaded is tried again every half minute; until then, the newest
    of the earlier ones that can is served.

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
        self._failures: dict[Version, _Failure] = {}
        self._has_changed = False
        self._served = (self._first(),)
        self._metrics.set_version(self.current.number)
        self._has_ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="versions", daemon=True)

    @property
    def current(self) -> ServedVersion:
        """The version that is served."""
        return self._served[0]

    @property
    def served(self) -> tuple[ServedVersion, ...]:
        """The version that is served, and the one before if it is kept."""
        return self._served

    def find(self, name: str, *, version: int | None = None) -> ServedVersion:
        """Returns the version that a request asks for.

        Raises:
            Refused: There is no such model or version.
        """
        if name != self.name:
            raise Refused(404, f"There is no model {name}: this server has {self.name}.")
        loaded = self._served
        if version is None:
            return loaded[0]
        for one in loaded:
            if one.number == version:
                return one
        numbers = " or ".join(str(one.number) for one in loaded)
        raise Refused(404, f"Version {version} of {name} is not served: ask for version {numbers}, or name none.")

    def states(self) -> list[dict[str, object]]:
        """Returns the states of the versions as TensorFlow Serving describes them, the newest first."""
        states = [_state(one.number, "AVAILABLE", "OK", "") for one in self._served]
        states += [_state(v.number, "END", "UNKNOWN", failure.message) for v, failure in self._failures.copy().items()]
        return sorted(states, key=lambda state: int(str(state["version"])), reverse=True)

    def start(self) -> None:
        """Begins to look for new versions, unless the model is one SavedModel or file."""
        if not versions.is_single(self._model):
            self._watcher.start()

    def stop(self, *, wait_s: float) -> bool:
        """Ends to look for new versions.

        Args:
            wait_s: How long to wait for that. The load of a version that has begun cannot be stopped.

        Returns:
            Whether nothing is loaded any more.
        """
        self._has_ended.set()
        if self._watcher.is_alive():
            self._watcher.join(wait_s)
        return not self._watcher.is_alive()

    def refresh(self) -> None:
        """Looks for other versions, and serves the newest that can be loaded from the moment when it is."""
        found = versions.complete(self._model)
        self._failures = {version: failure for version, failure in self._failures.items() if version in found}
        if found:
            numbers = [version.number for version in found]
            self._keep([self.current, *(one for one in self._served[1:] if one.number in numbers)])
        for version in found:
            if version.number == self.current.number:
                break
            if self._is_due(version):
                with contextlib.suppress(UserError, OSError):  # They are noted.
                    self._change(self._load(version))
                    return
        if self._has_changed:
            gc.collect()  # Graphs are cyclic, and hold gigabytes in few objects.
            self._has_changed = False

    def _keep(self, loaded: Sequence[ServedVersion]) -> None:
        """Keeps these versions in memory, the one that is served first."""
        if tuple(loaded) != self._served:
            self._served, self._has_changed = tuple(loaded), True

    def _is_due(self, version: Version) -> bool:
        """Returns whether to load a version, which is not always so for one that could not be loaded."""
        failure = self._failures.get(version)
        if failure is None:
            return True
        failure.polls += 1
        return failure.polls % _RETRY_POLLS == 0

    def _change(self, loaded: ServedVersion) -> None:
        self._keep([loaded, self.current])
        self._metrics.set_version(loaded.number)
        print(f"Serving version {loaded.number} of {self.name}", flush=True)

    def _first(self) -> ServedVersion:
        """Loads the newest version that can be loaded."""
        errors: list[UserError | OSError] = []
        for version in versions.to_begin_with(self._model):
            try:
                return self._load(version)
            except (UserError, OSError) as error:
                errors.append(error)
        raise errors[0]

    def _load(self, version: Version) -> ServedVersion:
        """Loads a version.

        Raises:
            UserError: It cannot be loaded, which is noted.
            OSError: It cannot be read, which is noted, too.
        """
        try:
            loaded = (served_file if runtimes.is_file(version.place) else served).load(version)
        except (UserError, OSError) as error:
            polls = self._failures[version].polls if version in self._failures else 0
            self._failures[version] = _Failure(str(error), polls)
            self._metrics.count_failed_load()
            logging.error("version %d cannot be served: %s", version.number, error)
            raise
        self._failures.pop(version, None)
        return loaded

    def _watch(self) -> None:
        while not self._has_ended.wait(POLL_S):
            try:
                self.refresh()
            except Exception:  # A bucket that does not answer is no reason to serve nothing.
                logging.exception("the folder of versions cannot be read; it is tried again")


def _state(number: int, state: str, code: str, message: str) -> dict[str, object]:
    status = {"error_code": code, "error_message": message}
    return {"version": str(number), "state": state, "status": status}
