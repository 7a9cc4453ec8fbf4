"""A Diptych model as an embedding model of perch-hoplite, which searches in recordings."""

import dataclasses

import numpy as np
from ml_collections import config_dict
from perch_hoplite.zoo import zoo_interface

import diptych


@dataclasses.dataclass
class DiptychModel(zoo_interface.EmbeddingModel):
    """Embeds the windows of a recording; pass it to `EmbedWorker` as `embedding_model`."""

    window_size_s: float
    hop_size_s: float
    embedder: diptych.Embedder

    @classmethod
    def from_config(cls, model_config: config_dict.ConfigDict) -> "DiptychModel":
        """Loads `model_path`. `window_size_s` is the model's own, and `hop_size_s` as long, if they are not given."""
        embedder = diptych.load(model_config.model_path)
        window = model_config.get("window_size_s", embedder.window_seconds)
        hop = model_config.get("hop_size_s", window)
        return cls(sample_rate=embedder.sample_rate, window_size_s=window, hop_size_s=hop, embedder=embedder)

    def embed(self, audio_array: np.ndarray) -> zoo_interface.InferenceOutputs:
        """Returns embeddings (windows, 1, dim) of a sound, (samples,)."""
        parts = self.frame_audio(audio_array, self.window_size_s, self.hop_size_s)
        vectors = [self.embedder.embed(part, self.sample_rate) for part in parts]
        return zoo_interface.InferenceOutputs(embeddings=np.stack(vectors)[:, None])

    def batch_embed(self, audio_batch: np.ndarray) -> zoo_interface.InferenceOutputs:
        """Returns embeddings (batch, windows, 1, dim) of sounds, (batch, samples)."""
        return zoo_interface.batch_embed_from_embed_fn(self.embed, audio_batch)
