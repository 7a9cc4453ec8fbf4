"""Embeds the examples with the exported model and with what it is compared with."""

from components.embedder.component import Embedder
from components.embedder.config import EmbedderConfig

__all__ = ["Embedder", "EmbedderConfig"]
