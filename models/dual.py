"""The dual-format model: two views of a clip, each in its own format, embedded in one space (paper, figure 1)."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras

from models import augment, catalog, frontends
from models import encoders as encoder_zoo
from models.formats import FrontEndOptions, frame_size
from models.heads import Projector
from models.typing import Tensor


@keras.saving.register_keras_serializable("diptych")
class DualEncoder(keras.Model):
    """Two branches (crop -> augmentation -> format -> encoder) and the projector they share.

    With two formats each has its own encoder; with one format in both branches they share it, or have one each.

    Args:
        formats: The format of branch A and of branch B, each one of `models.formats.FORMATS`.
        encoders: Format -> encoder name (`models.catalog.ENCODERS`), or the name of one of `models.catalog.PAIRS`.
        augmentations: For branch A and branch B, see `models.augment.build`; what is absent is off.
        share_encoder: Whether two branches of one format share an encoder; the paper found no difference.
        width: Multiplies every channel count of the encoders.
        dropout: Rate after each block of a 2-D encoder, see `models.encoders.build`.
        norm: Of all encoders, see `models.encoders.build`; None is each family's own.
        padding: Of all encoders, likewise.
        crop_seconds: Length of a view.
        sample_rate: Hz.
        n_mels: Bands of the spectrogram and of the log-mel spectrogram.
        n_mfcc: Coefficients of the MFCCs.
        front_end: How spectra are made, as `models.formats.FrontEndOptions`; what is absent has its default.
        projector_dim: Size of the space in which views are compared.
        projector_norm: `"none"` (paper) or `"batch"`, see `Projector`.
        mixing_group: Consecutive examples among which mixing partners are drawn.
        seed: Fixes the augmentations' draws (not the initial weights: `keras.utils.set_random_seed` does).

    Attributes:
        formats: The format of branch A and of branch B.
        embedding_names: What there is to embed with, in branch order: one name, or two.
        dims: Name of an embedding -> its size.

    Raises:
        ValueError: for an unknown format, encoder, augmentation or option, an encoder that cannot read its format, or
            two encoders of different size, with both sizes named: one projector reads both.
    """

    def __init__(
        self,
        *,
        formats: Sequence[str] = ("waveform", "log_mel"),
        encoders: Mapping[str, str] | str = "small",
        augmentations: Sequence[Mapping[str, float]] = ({}, {}),
        share_encoder: bool = True,
        width: float = 1.0,
        dropout: float = 0.2,
        norm: str | None = None,
        padding: str | None = None,
        crop_seconds: float = 3.0,
        sample_rate: int = 16000,
        n_mels: int = 80,
        n_mfcc: int = 13,
        front_end: Mapping[str, object] | None = None,
        projector_dim: int = 512,
        projector_norm: str = "none",
        mixing_group: int = 32,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # front ends need float32 under mixed precision, too
        encoders = dict(catalog.pair(encoders))
        dim = catalog.common_dim(formats=formats, encoders=encoders, width=width)
        options = FrontEndOptions.of(front_end or {})
        self.config = {
            "formats": list(formats),
            "encoders": encoders,
            "augmentations": [dict(augmentation) for augmentation in augmentations],
            **{"share_encoder": share_encoder, "width": width, "dropout": dropout, "norm": norm, "padding": padding},
            **{"crop_seconds": crop_seconds, "sample_rate": sample_rate, "n_mels": n_mels, "n_mfcc": n_mfcc},
            "front_end": dataclasses.asdict(options),
            **{"projector_dim": projector_dim, "projector_norm": projector_norm},
            **{"mixing_group": mixing_group, "seed": seed},
        }
        self.formats = tuple(formats)
        self._embedded_as = catalog.embedding_names(formats, share_encoder=share_encoder)  # by each branch
        self.embedding_names = tuple(dict.fromkeys(self._embedded_as))
        self.dims = dict.fromkeys(self.embedding_names, dim)
        self.sample_rate, self.crop_samples = sample_rate, round(crop_seconds * sample_rate)
        sizes = {"n_mels": n_mels, "n_mfcc": n_mfcc}
        self.front_ends = {
            name: frontends.build(name, sample_rate=sample_rate, options=options, **sizes)
            for name in dict.fromkeys(formats)
        }
        self.encoders = {
            embedding: encoder_zoo.build(
                encoders[name],
                n_mels=frame_size(name, **sizes),
                norm=norm,
                padding=padding,
                width=width,
                dropout=dropout,
            )
            for embedding, name in self._format_of_embedding.items()
        }
        self.projector = Projector(dim=dim, out_dim=projector_dim, norm=projector_norm)
        self.projector.build((None, dim))
        self.augmentations = [
            augment.build(
                augmentation,
                front_end=self.front_ends[name],
                sample_rate=sample_rate,
                mixing_group=mixing_group,
                seed=None if seed is None else (100 * seed + 10 * branch) % 2**32,
            )
            for branch, (name, augmentation) in enumerate(zip(formats, augmentations, strict=True))
        ]
        self.built = True

    @property
    def _format_of_embedding(self) -> dict[str, str]:
        return dict(zip(self._embedded_as, self.formats, strict=True))

    @property
    def draws_each(self) -> int:
        """How many random numbers the augmentations of an example take, over both branches."""
        return sum(layer.draws_each for layer in self._augmentation_layers)

    @property
    def _augmentation_layers(self) -> list[keras.layers.Layer]:
        return [layer for branch in self.augmentations for layers in branch for layer in layers]

    def _draws_of(self, layer: keras.layers.Layer, draws: Tensor | None) -> Tensor | None:
        if draws is None:
            return None
        layers = self._augmentation_layers
        first = sum(other.draws_each for other in layers[: layers.index(layer)])
        return draws[:, first : first + layer.draws_each]

    def call(
        self, views: Sequence[Tensor], training: bool = False, draws: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Projects two views of the same clips.

        Args:
            views: Two `(batch, crop_samples)` float32 waveforms in [-1, 1], for branch A and branch B.
            training: Whether to augment, drop out and use the batch's own statistics.
            draws: `(batch, draws_each)` float32 in [0, 1), all that is random about the augmentations; None to have
                each augmentation draw its own.

        Returns:
            Two `(batch, projector_dim)` tensors.
        """
        return tuple(
            self.projector(self.encode(branch, waveform, training=training, draws=draws), training=training)
            for branch, waveform in enumerate(views)
        )

    def encode(self, branch: int, waveform: Tensor, *, training: bool, draws: Tensor | None = None) -> Tensor:
        """What a branch's encoder makes of `(batch, crop_samples)` waveforms, `(batch, dim)`: the projector's input."""
        x = self.view(branch, waveform, training=training, draws=draws)
        return self.encoders[self._embedded_as[branch]](x, training=training)

    def embed(self, audio: Tensor, *, training: bool = False) -> dict[str, Tensor]:
        """Embeds clips with each encoder, without augmentation.

        Args:
            audio: `(batch, samples)` float32 waveforms in [-1, 1], `crop_samples` long in training.
            training: Passed to the encoders.

        Returns:
            Name of the embedding -> `(batch, dim)`.
        """
        inputs = {name: front_end(audio) for name, front_end in self.front_ends.items()}
        return {
            embedding: self.encoders[embedding](inputs[name], training=training)
            for embedding, name in self._format_of_embedding.items()
        }

    def mix(self, branch: int, waveform: Tensor, *, training: bool, draws: Tensor | None = None) -> Tensor:
        """The waveforms that a branch turns into its format: in training mixed with others, if the branch does so.

        Args:
            branch: 0 for A, 1 for B.
            waveform: `(batch, crop_samples)` float32.
            training: Whether to augment.
            draws: See `call`.
        """
        for layer in self.augmentations[branch][0]:
            waveform = layer(waveform, self._draws_of(layer, draws), training=training)
        return waveform

    def format(self, branch: int, waveform: Tensor, *, training: bool, draws: Tensor | None = None) -> Tensor:
        """What a branch's encoder is given for waveforms that `mix` has seen to: in the branch's format, augmented.

        Returns:
            `(batch, crop_samples)` for waveforms, `(batch, frames, bands)` for spectra.
        """
        front_end = self.front_ends[self.formats[branch]]
        x = front_end.bands(waveform)
        for layer in self.augmentations[branch][1]:
            x = layer(x, self._draws_of(layer, draws), training=training)
        return front_end.features(x)

    def view(self, branch: int, waveform: Tensor, *, training: bool, draws: Tensor | None = None) -> Tensor:
        """`format` after `mix`: what a branch's encoder is given for `(batch, crop_samples)` waveforms."""
        mixed = self.mix(branch, waveform, training=training, draws=draws)
        return self.format(branch, mixed, training=training, draws=draws)

    def get_config(self) -> dict:
        return self.config
