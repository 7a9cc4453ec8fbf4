"""The dual-format model: embeds two crops of a clip, each in its own format, in one space (paper, figure 1)."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import keras
from keras import ops

from models import augment, catalog, dropout, frontends
from models import encoders as encoder_zoo
from models.compatibility import embedding_dim
from models.config import AugmentConfig, ModelConfig, WidthsConfig, of_saved_model
from models.formats import frame_size
from models.heads import Projector
from models.typing import Tensor


@keras.saving.register_keras_serializable("diptych")
class DualEncoder(keras.Model):
    """Two branches, each with a format and an encoder, and one projector for both.

    Each branch maps a crop to a projection:

        crop                    (batch, crop_samples)
        -> mixing               (batch, crop_samples)
        -> front end: bands     (batch, crop_samples) or (batch, frames, bands)
        -> masks, shift         the same shape
        -> front end: features  (batch, crop_samples) or (batch, frames, bands or coefficients)
        -> encoder              (batch, dim), the embedding
        -> projector            (batch, projector_dim), the projection z

    Branches of different formats have an encoder each. Branches of the same format share one encoder, or have one each
    if `config.share_encoder` is false. The paper found no difference between the two.

    Args:
        config: The architecture, the formats and the augmentations.
        seed: Seed of the augmentations. The initial weights depend on `keras.utils.set_random_seed` instead.
        dtype: Keras' dtype policy of the encoders and the projector; None for the global one. Front ends and
            augmentations are always float32.
        **kwargs: Passed on to `keras.Model`.

    Attributes:
        config: The config that the model was built from.
        seed: The seed of the augmentations.
        formats: The formats of branch A and branch B.
        embedding_names: The names of the embeddings, in branch order: one name per encoder.
        dims: Name of an embedding -> its size.
        sample_rate: In Hz.
        crop_samples: Length of a crop, in samples.

    Raises:
        ValueError: A format or an encoder does not exist, an encoder cannot read its format, the two encoders differ
            in size, or an option does not fit the others.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        seed: int | None = None,
        dtype: str | None = None,
        **kwargs,
    ):
        # The front ends need float32, also under mixed precision.
        super().__init__(autocast=False, dtype=dtype, **kwargs)
        dim = embedding_dim(config)
        self.config = config
        self.seed = seed
        self.formats = config.format_names
        self._embedding_of_branch = catalog.embedding_names(self.formats, share_encoder=config.share_encoder)
        self.embedding_names = tuple(dict.fromkeys(self._embedding_of_branch))
        self.dims = dict.fromkeys(self.embedding_names, dim)
        self.sample_rate = config.sample_rate
        self.crop_samples = round(config.crop_seconds * config.sample_rate)
        self.front_ends = {
            format_name: frontends.build(format_name, config) for format_name in dict.fromkeys(self.formats)
        }
        with _global_policy(self.dtype_policy):
            self.encoders = {
                embedding: _build_encoder(format_name, config)
                for embedding, format_name in self._format_of_embedding.items()
            }
            self.projector = Projector(dim=dim, out_dim=config.projector_dim, norm=config.projector_norm)
            self.projector.build((None, dim))
        self.augmentations = [
            self._build_augmentations(branch, augment_config)
            for branch, augment_config in enumerate((config.augment_a, config.augment_b))
        ]
        self.built = True

    def _build_augmentations(
        self, branch: int, config: AugmentConfig
    ) -> tuple[list[keras.layers.Layer], list[keras.layers.Layer]]:
        seed = None
        if self.seed is not None:
            seed = (100 * self.seed + 10 * branch) % 2**32  # A branch has up to 4 layers with a seed each.
        return augment.build(
            config,
            front_end=self.front_ends[self.formats[branch]],
            sample_rate=self.config.sample_rate,
            mixing_group=self.config.mixing_group,
            seed=seed,
        )

    @property
    def _format_of_embedding(self) -> dict[str, str]:
        return dict(zip(self._embedding_of_branch, self.formats, strict=True))

    @property
    def draws_per_example(self) -> int:
        """The number of random numbers that an example needs in training, over both branches.

        They decide its augmentations and, behind those, its dropout masks in each branch.
        """
        masks = sum(dropout.DRAWS_PER_KEY for branch in (0, 1) if self._has_dropout(branch))
        return self._draws_of_augmentations + masks

    @property
    def _draws_of_augmentations(self) -> int:
        return sum(layer.draws_per_example for layer in self._augmentation_layers)

    @property
    def _augmentation_layers(self) -> list[keras.layers.Layer]:
        return [layer for branch in self.augmentations for layers in branch for layer in layers]

    def _draws_for(self, layer: keras.layers.Layer, draws: Tensor | None) -> Tensor | None:
        """Returns a layer's columns of `draws`, which lie in the order of `_augmentation_layers`."""
        if draws is None:
            return None
        layers = self._augmentation_layers
        first = sum(other.draws_per_example for other in layers[: layers.index(layer)])
        return draws[:, first : first + layer.draws_per_example]

    def weaken_mixing(self, draws: Tensor, *, share: Tensor | float) -> Tensor:
        """Returns draws with which mixing adds only a share of the other clip.

        Args:
            draws: See `call`.
            share: Scalar from 0, no mixing, to 1, mixing as it is.
        """
        columns = []
        for layer in self._augmentation_layers:
            own = self._draws_for(layer, draws)
            columns.append(layer.weakened(own, share=share) if isinstance(layer, augment.AudioMixing) else own)
        return ops.concatenate([*columns, draws[:, self._draws_of_augmentations :]], axis=1)

    def _has_dropout(self, branch: int) -> bool:
        layers = self.encoders[self._embedding_of_branch[branch]].layers
        return any(isinstance(layer, dropout.Dropout) and layer.rate > 0 for layer in layers)

    def _draws_of_masks(self, branch: int, draws: Tensor | None) -> Tensor | None:
        """Returns the columns of `draws` that decide the dropout masks of a branch."""
        if draws is None or not self._has_dropout(branch):
            return None
        first = self._draws_of_augmentations
        if branch == 1 and self._has_dropout(0):
            first += dropout.DRAWS_PER_KEY
        return draws[:, first : first + dropout.DRAWS_PER_KEY]

    def call(
        self, crops: Sequence[Tensor], training: bool = False, draws: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Projects pairs of crops.

        Args:
            crops: Two `(batch, crop_samples)` float32 waveforms in [-1, 1], for branch A and branch B.
            training: Whether to augment, to apply dropout and to normalize with the statistics of the batch.
            draws: `(batch, draws_per_example)` float32 in [0, 1), the random numbers of augmentations and dropout. If
                None, each layer draws its own.

        Returns:
            Two `(batch, projector_dim)` tensors.
        """
        return tuple(
            self.projector(self.encode(branch, waveform, training=training, draws=draws), training=training)
            for branch, waveform in enumerate(crops)
        )

    def encode(self, branch: int, waveform: Tensor, *, training: bool, draws: Tensor | None = None) -> Tensor:
        """Embeds crops with the encoder of a branch.

        Args:
            branch: 0 for A, 1 for B.
            waveform: `(batch, crop_samples)` float32.
            training: See `call`.
            draws: See `call`.

        Returns:
            `(batch, dim)`, the input of the projector.
        """
        x = self.encoder_input(branch, waveform, training=training, draws=draws)
        with dropout.masks_from(self._draws_of_masks(branch, draws)):
            return self.encoders[self._embedding_of_branch[branch]](x, training=training)  # (batch, dim)

    def embed(self, audio: Tensor, *, training: bool = False) -> dict[str, Tensor]:
        """Embeds clips with each encoder, without augmentation.

        Args:
            audio: `(batch, samples)` float32 waveforms in [-1, 1].
            training: Passed on to the encoders.

        Returns:
            Name of the embedding -> `(batch, dim)` float32, also under mixed precision.
        """
        inputs = {name: front_end(audio) for name, front_end in self.front_ends.items()}
        return {
            embedding: ops.cast(self.encoders[embedding](inputs[name], training=training), "float32")
            for embedding, name in self._format_of_embedding.items()
        }

    def encoder_input(self, branch: int, waveform: Tensor, *, training: bool, draws: Tensor | None = None) -> Tensor:
        """Returns the input of a branch's encoder: the mixed crops in the branch's format, augmented.

        Args:
            branch: 0 for A, 1 for B.
            waveform: `(batch, crop_samples)` float32.
            training: Whether to augment.
            draws: See `call`.

        Returns:
            `(batch, crop_samples)` for waveforms, `(batch, frames, bands or coefficients)` for spectra.
        """
        mixed = self.mix(branch, waveform, training=training, draws=draws)
        return self.to_format(branch, mixed, training=training, draws=draws)

    def mix(self, branch: int, waveform: Tensor, *, training: bool, draws: Tensor | None = None) -> Tensor:
        """Mixes each crop with another crop of the batch, in training and if the branch has mixing.

        This is the first half of `encoder_input` and takes the same arguments.

        Returns:
            `(batch, crop_samples)`.
        """
        for layer in self.augmentations[branch][0]:
            waveform = layer(waveform, self._draws_for(layer, draws), training=training)
        return waveform

    def to_format(self, branch: int, waveform: Tensor, *, training: bool, draws: Tensor | None = None) -> Tensor:
        """Converts mixed crops to the format of a branch. In training, it also augments them.

        This is the second half of `encoder_input`. It takes the same arguments and returns the same.
        """
        front_end = self.front_ends[self.formats[branch]]
        x = front_end.bands(waveform)  # (batch, crop_samples) or (batch, frames, bands)
        for layer in self.augmentations[branch][1]:
            x = layer(x, self._draws_for(layer, draws), training=training)
        return front_end.features(x)

    def get_config(self) -> dict:
        """Returns the dictionary that `.keras` files store. Its keys must not change, so that published models load."""
        fields = self.config.model_dump()
        if self.config.widths == WidthsConfig():
            del fields["widths"]  # Earlier versions, which do not know it, can load the file.
        fields["formats"] = list(self.formats)
        fields["augmentations"] = [fields.pop("augment_a"), fields.pop("augment_b")]
        fields["seed"] = self.seed
        return {**fields, "name": self.name, "dtype": self.dtype_policy.name}

    @classmethod
    def from_config(cls, config: Mapping[str, object]) -> "DualEncoder":
        """Builds a model from the dictionary in a `.keras` file. Fields that an older file lacks get their defaults.

        Raises:
            KeyError: The formats, the encoders or the augmentations are missing.
            ValueError: A format has no encoder, a field is unknown, or a value is wrong.
        """
        options = {name: config.get(name) for name in ("seed", "name", "dtype")}
        return cls(of_saved_model(config), **options)


@contextlib.contextmanager
def _global_policy(policy: keras.DTypePolicy) -> Iterator[None]:
    """Makes a dtype policy that of the layers that are built in the `with` block."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _build_encoder(format_name: str, config: ModelConfig) -> keras.Model:
    return encoder_zoo.build(
        config.encoders.for_format(format_name),
        n_mels=frame_size(format_name, n_mels=config.n_mels, n_mfcc=config.n_mfcc),
        norm=config.norm,
        padding=config.padding,
        width=config.width_for(format_name),
        dropout=config.dropout,
    )
