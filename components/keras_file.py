"""Loads Diptych's model from a `.keras` file. Nothing that the file holds is executed."""

import os
import zipfile

import keras
from etils import epath

from components import keras_config
from components.errors import UserError
from models.dual import DualEncoder  # This import also registers the class, so that `load_model` finds it.


def load(file: epath.PathLike, *, way_out: str) -> DualEncoder:
    """Loads a model.

    Args:
        file: The `.keras` file.
        way_out: What the user can do if it holds another model.

    Raises:
        UserError: It holds another model. The classes that it names are not looked up.
        Exception: It cannot be read, or is damaged: the errors of `zipfile` and of Keras.
    """
    with epath.Path(file).open("rb") as opened, zipfile.ZipFile(opened) as archive:
        try:
            keras_config.read(archive)
        except keras_config.ForeignModelError as error:
            raise UserError(f"{os.fspath(file)} {error}: {way_out}.") from error
    return keras.models.load_model(os.fspath(file), compile=False, safe_mode=True)
