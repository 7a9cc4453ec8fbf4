"""What a made-up model says about its embeddings."""

from components.embedding_info import EmbeddingInfo

LOG_MEL = EmbeddingInfo(
    formats=("log_mel", "log_mel"),
    dims={"log_mel": 5},
    dim=5,
    sample_rate=8000,
    crop_samples=8000,
    stride_samples=4000,
    input="",
    signatures={},
)
"""One encoder, and windows of 8,000 samples. For another model, `dataclasses.replace` it."""
