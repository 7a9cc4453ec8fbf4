"""Copies a blessed SavedModel to the folder that a model server watches."""

from components.pusher.component import Pusher
from components.pusher.config import PusherConfig

__all__ = ["Pusher", "PusherConfig"]
