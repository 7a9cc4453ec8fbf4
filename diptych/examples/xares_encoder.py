"""A Diptych model as an encoder of X-ARES, which evaluates encoders of audio.

DIPTYCH_MODEL=saved_model/5 python -m xares.run diptych/examples/xares_encoder.py TASK.py
"""

import os

import numpy as np
import torch

import diptych


class DiptychEncoder(torch.nn.Module):
    """Embeds sounds over time; see `xares.audio_encoder_checker` for the attributes. X-ARES passes no arguments."""

    def __init__(self):
        super().__init__()
        self.embedder = diptych.load(os.environ["DIPTYCH_MODEL"])
        self.sampling_rate = self.embedder.sample_rate
        self.output_dim = self.embedder.dim
        one_second = np.zeros(self.sampling_rate, np.float32)
        hops = np.diff(self.embedder.frames(one_second, self.sampling_rate).timestamps)
        self.hop_size_in_ms = 1000 * float(hops.mean())

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Returns (batch, frames, output_dim) for sounds (batch, samples)."""
        sounds = audio.detach().cpu().numpy()
        frames = [self.embedder.frames(sound, self.sampling_rate).embedding for sound in sounds]
        return torch.from_numpy(np.stack(frames)).to(audio.device)
