"""Reads what a `.keras` file says of its model, without Keras, and refuses everything but Diptych's own model.

A `.keras` file is a zip archive. Its `config.json` names a class and the arguments of its constructor, which may again
be classes. Keras would look all of them up and build them. Diptych's model has plain values as arguments.
"""

import json
import zipfile
from typing import TypedDict

_CLASS = {"class_name": "DualEncoder", "registered_name": "diptych>DualEncoder"}
_LARGEST = 2**20
"""Bytes of `config.json`, which has a thousand. A small archive can hold gigabytes."""

_REQUIRED = {"formats": list, "encoders": dict, "sample_rate": int}
_PLAIN = {"name": str, "dtype": str, "seed": int}
"""The arguments that `ModelConfig` does not check, with their types. Each may be null."""


class ForeignModelError(Exception):
    """The file holds another model than Diptych's. The message continues a sentence that begins with the file."""


class KerasConfig(TypedDict):
    """What `models.dual.DualEncoder.get_config` returns. Only the fields that are read without Keras are listed."""

    formats: list[str]
    encoders: dict[str, str]
    sample_rate: int


def read(archive: zipfile.ZipFile) -> KerasConfig:
    """Reads the config of the model in a `.keras` file.

    Raises:
        ForeignModelError: It is not Diptych's model, or an argument of it is not a plain value.
        KeyError: The archive has no `config.json`.
        ValueError: It is not JSON.
    """
    if archive.getinfo("config.json").file_size > _LARGEST:
        raise ForeignModelError("is not a Diptych model, whose config.json is smaller")
    try:
        content = json.loads(archive.read("config.json"))
    except RecursionError as error:
        raise ForeignModelError("is not a Diptych model, whose config.json is flat") from error
    if not isinstance(content, dict) or any(content.get(key) != value for key, value in _CLASS.items()):
        raise ForeignModelError("is not a Diptych model")
    config = content.get("config")
    if not isinstance(config, dict):
        raise ForeignModelError("is not a Diptych model, whose config.json describes it")
    for name, kind in _REQUIRED.items():
        if not isinstance(config.get(name), kind):
            raise ForeignModelError(f"is not a Diptych model, whose config.json has {name}")
    for name, kind in _PLAIN.items():
        if config.get(name) is not None and not isinstance(config[name], kind):
            raise ForeignModelError(f"is not a Diptych model, whose {name} is a plain value")
    return config
