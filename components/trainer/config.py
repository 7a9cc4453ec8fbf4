"""The Trainer's config. Defaults are the paper's (section 3) wherever it gives a value."""

import re
from typing import ClassVar, Literal

import pydantic

from components.base import StageConfig
from models.catalog import PAIRS
from models.formats import FrontEndOptions

_SMALL, _FRONT_END = PAIRS["small"], FrontEndOptions()


class EncodersConfig(StageConfig):
    """The encoder of each format; those of formats that are not used do not matter."""

    waveform: str = pydantic.Field(_SMALL["waveform"], description="Encoder of the raw waveform.")
    spectrogram: str = pydantic.Field(_SMALL["spectrogram"], description="Encoder of the linear spectrogram.")
    log_mel: str = pydantic.Field(_SMALL["log_mel"], description="Encoder of the log-mel spectrogram.")
    mfcc: str = pydantic.Field(_SMALL["mfcc"], description="Encoder of the MFCCs.")


class FrontEndConfig(StageConfig):
    """How spectra are made, see `models.formats.FrontEndOptions`. The paper gives window and hop only."""

    window_seconds: float = pydantic.Field(_FRONT_END.window_seconds, gt=0, description="Length of the Hann window.")
    hop_seconds: float = pydantic.Field(_FRONT_END.hop_seconds, gt=0, description="From one frame to the next.")
    fft_length: int = pydantic.Field(_FRONT_END.fft_length, ge=2, description="Points of the FFT; even.")
    low_hz: float = pydantic.Field(_FRONT_END.low_hz, ge=0, description="Lower edge of the lowest band.")
    high_hz: float = pydantic.Field(_FRONT_END.high_hz, gt=0, description="Upper edge of the highest band.")
    mel_scale: Literal["htk", "slaney"] = pydantic.Field(
        _FRONT_END.mel_scale, description="htk: peaks of 1, as TensorFlow's; slaney: equal areas, as librosa's."
    )
    log: Literal["natural", "decibel"] = pydantic.Field(
        _FRONT_END.log, description="natural: ln(x + floor); decibel: 10 log10(max(x, floor)) of energies."
    )
    floor: float = pydantic.Field(_FRONT_END.floor, gt=0, description="Keeps the log of silence finite.")
    centre: bool = pydantic.Field(
        _FRONT_END.centre, description="Frames centred on multiples of the hop, as librosa's; false: they begin there."
    )


class AugmentConfig(StageConfig):
    """The augmentations of one branch (paper, section 2.2); 0 and false are off."""

    mixing: bool = pydantic.Field(False, description="Adds another clip as noise, before any spectral transform.")
    time_mask_seconds: float = pydantic.Field(0.0, ge=0, description="Longest block of time dropped, in seconds.")
    frequency_mask: int = pydantic.Field(0, ge=0, description="Most adjacent bands dropped; spectra only.")
    frequency_shift: int = pydantic.Field(0, ge=0, description="Farthest shift, in bands; spectra only.")


class ModelConfig(StageConfig):
    """The dual-format model, see `models.dual.DualEncoder`."""

    formats: str = pydantic.Field(
        "waveform+log_mel",
        description="Formats of branch A and branch B: two of waveform, spectrogram, log_mel, mfcc, or one twice.",
    )
    encoders: EncodersConfig = EncodersConfig()
    share_encoder: bool = pydantic.Field(
        True, description="One encoder for both branches where they have the same format; false: one each."
    )
    norm: str | None = pydantic.Field(
        None, description="Of all encoders: batch, or group:G for G groups; null: each family's own."
    )
    padding: Literal["same", "valid"] | None = pydantic.Field(
        None, description="Of all encoders; valid is PANNs' and needs longer crops; null: each family's own."
    )
    width: float = pydantic.Field(1.0, gt=0, description="Multiplies every channel count of the encoders.")
    dropout: float = pydantic.Field(0.2, ge=0, lt=1, description="After each block of a 2-D encoder (PANNs: 0.2).")
    crop_seconds: float = pydantic.Field(3.0, gt=0, description="Length of a view, in seconds.")
    sample_rate: int = pydantic.Field(16000, ge=2000, description="In Hz; must be that of the examples.")
    n_mels: int = pydantic.Field(80, ge=1, description="Bands of the spectrogram and of the log-mel spectrogram.")
    n_mfcc: int = pydantic.Field(13, ge=1, description="Coefficients of the MFCCs.")
    front_end: FrontEndConfig = FrontEndConfig()
    projector_dim: int = pydantic.Field(512, ge=1, description="Size of the space in which views are compared.")
    projector_norm: Literal["none", "batch"] = pydantic.Field(
        "none",
        description="Normalisation after the projector's hidden layer: none in the paper; small batches need batch.",
    )
    augment_a: AugmentConfig = AugmentConfig(mixing=True)
    augment_b: AugmentConfig = AugmentConfig(mixing=True, frequency_shift=10)
    mixing_group: int = pydantic.Field(
        32, ge=2, description="Consecutive examples of a batch among which mixing partners are drawn."
    )

    @pydantic.field_validator("norm")
    @classmethod
    def _known(cls, norm: str | None) -> str | None:
        if norm is not None and not re.fullmatch("batch|group:[1-9][0-9]*", norm):
            raise ValueError("must be batch, or group:G for a number G of groups, e.g. group:1")
        return norm

    @property
    def format_names(self) -> tuple[str, ...]:
        """The formats of branch A and branch B."""
        return tuple(self.formats.split("+"))


class TrainerConfig(StageConfig):
    """How the model is trained."""

    incidental: ClassVar[frozenset[str]] = frozenset(
        {"strategy", "tpu", "steps_per_loop", "log_every", "checkpoint_every", "keep_checkpoints", "profile"}
    )

    model: ModelConfig = ModelConfig()
    strategy: Literal["auto", "one", "mirrored", "multi_worker", "tpu"] = pydantic.Field(
        "auto",
        description="Where to train: one device, a replica on each GPU of this machine, on those of all machines in "
        "TF_CONFIG, or on each core of a TPU; auto takes the largest of them that there is.",
    )
    tpu: str = pydantic.Field("local", description="Name of the TPU; local for the one that this machine is of.")
    precision: Literal["auto", "float32", "bfloat16"] = pydantic.Field(
        "auto", description="What the encoders compute in, with float32 weights; auto is bfloat16 on a TPU."
    )
    steps: int = pydantic.Field(400_000, ge=1, description="Optimiser steps.")
    batch_size: int = pydantic.Field(1024, ge=2, description="Clips in a step, over all replicas.")
    micro_batch: int | None = pydantic.Field(
        None,
        ge=2,
        description="Clips that a replica embeds at a time, for batches larger than memory: the gradient of the whole "
        "batch (but for batch norm and dropout) at a third more computing; null: its whole share of the batch.",
    )
    temperature: float = pydantic.Field(0.1, gt=0, description="tau of the contrastive loss.")
    optimizer: Literal["adam", "lamb", "lars"] = pydantic.Field(
        "adam", description="adam as the paper; lamb and lars scale each layer's step by its weights, for huge batches."
    )
    learning_rate: float = pydantic.Field(1e-4, gt=0, description="The optimiser's, at its highest.")
    final_learning_rate: float = pydantic.Field(1e-6, ge=0, description="Where the cosine decay ends.")
    warmup_steps: int = pydantic.Field(0, ge=0, description="Steps of linear warm-up ahead of the decay.")
    weight_decay: float = pydantic.Field(
        0.0, ge=0, description="Share of each weight (not of norms and biases) lost in a step, times the learning rate."
    )
    ema: float = pydantic.Field(
        0.0, ge=0, lt=1, description="Momentum of a moving average of the weights, which is then what counts; 0: none."
    )
    seed: int = pydantic.Field(0, ge=0, lt=2**31, description="Of initial weights, order, crops and augmentations.")
    short_clips: Literal["tile", "pad"] = pydantic.Field(
        "tile", description="A clip shorter than the crop is repeated, or filled with silence."
    )
    shuffle_buffer: int = pydantic.Field(
        2048, ge=1, description="Clips among which the next is drawn, on top of a new order of files in each pass."
    )
    steps_per_loop: int = pydantic.Field(
        100, ge=1, description="Most steps in a call of the compiled loop, of about 10 s; Ctrl-C waits for its end."
    )
    log_every: int = pydantic.Field(100, ge=1, description="Steps between TensorBoard points.")
    eval_every: int = pydantic.Field(2000, ge=1, description="Steps between looks at the valid split.")
    probe_clips: int = pydantic.Field(
        2000, ge=0, description="Most clips of the valid split for the probe that chooses the best model."
    )
    patience: int | None = pydantic.Field(
        None, ge=1, description="Looks at the valid split without a better one after which to stop; null: never."
    )
    collapse_rank: float = pydantic.Field(
        2.0, ge=1, description="Warn when the embeddings of a branch fill fewer dimensions three looks in a row."
    )
    checkpoint_every: int = pydantic.Field(2000, ge=1, description="Steps between checkpoints, kept for a rerun.")
    keep_checkpoints: int = pydantic.Field(2, ge=1, description="How many of the newest to keep, besides the best.")
    profile: bool = pydantic.Field(False, description="Records a trace of steps 10 to 20 for TensorBoard's profiler.")
