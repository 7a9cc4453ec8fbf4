"""Settings for all tests."""

import os

from hypothesis import settings

from pipeline import tensorflow_settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
tensorflow_settings.apply()

# Without a deadline, because the first call of a Keras operation takes far longer than later ones.
settings.register_profile("diptych", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("diptych")
