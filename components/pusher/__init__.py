"""Puts a blessed SavedModel where a model server looks for it."""

from components.pusher.component import Pusher, PusherConfig

__all__ = ["Pusher", "PusherConfig"]
