"""What a user gives to name a baseline: `NAME`, `NAME=PATH`, `NAME:CHOICE=PATH` or `NAME:OUTPUT@RATE=PATH`."""

import dataclasses
import re
from typing import Literal

from beam_jobs import remote_file, storage
from components.errors import UserError

Form = Literal["saved_model", "tflite", "onnx"]
"""What the path of a model that Diptych does not know may lead to."""

_FORM = re.compile(r"(?P<name>[^:@=]*)(:(?P<choice>[^=]+?))?(@(?P<sample_rate>[^:@=]*))?(=(?P<path>.*))?", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # It also names a folder and the scores.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The parts of what a user gives.

    Attributes:
        name: Name of the baseline.
        choice: One of several networks or outputs, or None.
        sample_rate: In Hz, or None.
        path: An absolute path or a URL, or None.
    """

    name: str
    choice: str | None = None
    sample_rate: int | None = None
    path: str | None = None

    @property
    def left_side(self) -> str:
        """Everything up to the equals sign, as a user would write it."""
        choice = "" if self.choice is None else f":{self.choice}"
        return self.name + choice + ("" if self.sample_rate is None else f"@{self.sample_rate}")


def read(text: str) -> Spec:
    """Reads what a user gives.

    Raises:
        UserError: It has another form.
        UrlError: Its path is a URL, and not one of Cloud Storage.
    """
    match = _FORM.fullmatch(text)
    if not match or not _NAME.fullmatch(match["name"]) or match["path"] == "":
        raise UserError(
            f"baseline {text!r}: give NAME or NAME=PATH, with a name of at most 64 letters, digits, dots, dashes and "
            "underscores."
        )
    rate = match["sample_rate"]
    if rate is not None and not re.fullmatch("[1-9][0-9]{3,5}", rate):
        raise UserError(f"baseline {text!r}: {rate!r} is no sample rate in Hz: give e.g. {match['name']}@32000=PATH.")
    if match["path"] is not None:
        remote_file.check_url(match["path"])
    return Spec(
        name=match["name"],
        choice=match["choice"],
        sample_rate=None if rate is None else int(rate),
        path=None if match["path"] is None else storage.canonical(match["path"]),
    )
