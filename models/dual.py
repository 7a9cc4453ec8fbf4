"""The dual-format model: two views of a clip, each in its own format, embedded in one space (paper, figure 1)."""

from collections.abc import Mapping, Sequence

import keras

from models import augment, catalog, frontends
from models import encoders as encoder_zoo
from models.heads import Projector
from models.typing import Tensor

AUGMENTATIONS = ("mixing", "time_mask_seconds", "frequency_mask", "frequency_shift")


@keras.saving.register_keras_serializable("diptych")
class DualEncoder(keras.Model):
    """Two branches (crop -> augmentation -> format -> encoder) and the projector they share.

    With two formats each has its own encoder; with one format in both branches they share it.

    Args:
        formats: The format of branch A and of branch B, each one of `models.catalog.FORMATS`.
        encoders: Format -> encoder name (`models.catalog.ENCODERS`); None is the paper's small pair.
        augmentations: For branch A and branch B, a mapping of `mixing` (bool, on the waveform), `time_mask_seconds`
            (longest block), `frequency_mask` (most bands) and `frequency_shift` (farthest, in bands); what is absent
            is off.
        width: Multiplies every channel count of the encoders.
        dropout: Rate after each block of a 2-D encoder (PANNs: 0.2).
        crop_seconds: Length of a view.
        sample_rate: Hz.
        n_mels: Bands of the log-mel format.
        projector_dim: Size of the space in which views are compared.
        projector_norm: `"none"` (paper) or `"batch"`, see `Projector`.
        mixing_group: Consecutive examples among which mixing partners are drawn.
        seed: Fixes the augmentations' draws (not the initial weights: `keras.utils.set_random_seed` does).

    Raises:
        ValueError: for an unknown format, encoder or augmentation, an encoder that cannot read its format, or two
            encoders of different size, with both sizes named: one projector reads both.
    """

    def __init__(
        self,
        *,
        formats: Sequence[str] = catalog.FORMATS,
        encoders: Mapping[str, str] | None = None,
        augmentations: Sequence[Mapping[str, float]] = ({}, {}),
        width: float = 1.0,
        dropout: float = 0.2,
        crop_seconds: float = 3.0,
        sample_rate: int = 16000,
        n_mels: int = 80,
        projector_dim: int = 512,
        projector_norm: str = "none",
        mixing_group: int = 32,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        encoders = dict(encoders or {name: catalog.SMALL[name] for name in formats if name in catalog.SMALL})
        dim = catalog.common_dim(formats=formats, encoders=encoders, width=width)
        self.config = {
            "formats": list(formats),
            "encoders": encoders,
            "augmentations": [dict(options) for options in augmentations],
            **{"width": width, "dropout": dropout, "crop_seconds": crop_seconds, "sample_rate": sample_rate},
            **{"n_mels": n_mels, "projector_dim": projector_dim, "projector_norm": projector_norm},
            **{"mixing_group": mixing_group, "seed": seed},
        }
        self.branches = tuple(formats)
        self.formats = tuple(dict.fromkeys(formats))
        self.sample_rate, self.crop_samples = sample_rate, round(crop_seconds * sample_rate)
        self.front_ends = {
            name: frontends.LogMel(sample_rate=sample_rate, n_mels=n_mels, name="log_mel_front_end")
            for name in self.formats
            if name == "log_mel"
        }
        self.encoders = {
            name: encoder_zoo.build(encoders[name], n_mels=n_mels, width=width, dropout=dropout)
            for name in self.formats
        }
        self.dims = dict.fromkeys(self.formats, dim)
        self.projector = Projector(dim=dim, out_dim=projector_dim, norm=projector_norm)
        self.projector.build((None, dim))
        self.augmentations = [self._augmentations(branch) for branch in range(2)]
        self.built = True

    def call(self, views: Sequence[Tensor], training: bool = False) -> tuple[Tensor, Tensor]:
        """Projects two views of the same clips.

        Args:
            views: Two `(batch, crop_samples)` float32 waveforms in [-1, 1], for branch A and branch B.
            training: Whether to augment, drop out and use the batch's own statistics.

        Returns:
            Two `(batch, projector_dim)` tensors.
        """
        projections = []
        for branch, waveform in enumerate(views):
            x = self.view(branch, waveform, training=training)
            features = self.encoders[self.branches[branch]](x, training=training)
            projections.append(self.projector(features, training=training))
        return tuple(projections)

    def embed(self, audio: Tensor, *, training: bool = False) -> dict[str, Tensor]:
        """Embeds clips with each encoder, without augmentation.

        Args:
            audio: `(batch, samples)` float32 waveforms in [-1, 1], `crop_samples` long in training.
            training: Passed to the encoders.

        Returns:
            Format name -> `(batch, dim)`.
        """
        return {name: self.encoders[name](self._to_format(name, audio), training=training) for name in self.formats}

    def view(self, branch: int, waveform: Tensor, *, training: bool) -> Tensor:
        """What a branch's encoder is given for `(batch, crop_samples)` waveforms: augmented, in the branch's format.

        Args:
            branch: 0 for A, 1 for B.
            waveform: `(batch, crop_samples)` float32.
            training: Whether to augment.

        Returns:
            `(batch, crop_samples)` for waveforms, `(batch, frames, bands)` for spectra.
        """
        on_waveform, on_spectrum = self.augmentations[branch]
        for layer in on_waveform:
            waveform = layer(waveform, training=training)
        x = self._to_format(self.branches[branch], waveform)
        for layer in on_spectrum:
            x = layer(x, training=training)
        return x

    def _to_format(self, name: str, waveform: Tensor) -> Tensor:
        return self.front_ends[name](waveform) if name in self.front_ends else waveform

    def _augmentations(self, branch: int) -> list[list[keras.layers.Layer]]:
        """The branch's layers, those on the waveform and those on the spectrum."""
        options = self.config["augmentations"][branch]
        unknown = sorted(set(options) - set(AUGMENTATIONS))
        if unknown:
            raise ValueError(f"unknown augmentation {unknown[0]!r}: they are {', '.join(AUGMENTATIONS)}")
        spectral, seed = self.front_ends.get(self.branches[branch]), self.config["seed"]
        seeds = (None if seed is None else seed * 100 + branch * 10 + i for i in range(10))
        on_waveform, on_spectrum = [], []
        if options.get("mixing"):
            on_waveform.append(augment.AudioMixing(group=self.config["mixing_group"], seed=next(seeds)))
        seconds = options.get("time_mask_seconds", 0)
        if seconds and spectral is None:
            on_waveform.append(augment.Mask(axis=1, longest=round(seconds * self.sample_rate), seed=next(seeds)))
        if spectral is None:
            if options.get("frequency_mask") or options.get("frequency_shift"):
                raise ValueError("a waveform has no bands: frequency_mask and frequency_shift are for spectra")
            return [on_waveform, on_spectrum]
        floor = {"value": spectral.silence}
        if options.get("frequency_shift"):
            on_spectrum.append(augment.FrequencyShift(farthest=options["frequency_shift"], seed=next(seeds), **floor))
        if seconds:
            frames = round(seconds * self.sample_rate / spectral.hop)
            on_spectrum.append(augment.Mask(axis=1, longest=frames, seed=next(seeds), **floor))
        if options.get("frequency_mask"):
            on_spectrum.append(augment.Mask(axis=2, longest=options["frequency_mask"], seed=next(seeds), **floor))
        return [on_waveform, on_spectrum]

    def get_config(self) -> dict:
        return self.config
