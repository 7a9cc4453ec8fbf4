"""The projector, which maps embeddings to the space where the loss compares them."""

import keras
from keras import layers

from models.layers import normalization
from models.typing import Shape, Tensor


@keras.saving.register_keras_serializable("diptych")
class Projector(keras.layers.Layer):
    """The projector g of eq. (1), shared by both branches: an MLP with one hidden layer and ReLU.

    It maps `(batch, dim)` to `(batch, out_dim)`. The hidden layer is as wide as the input, because the paper does not
    give its size.

    Args:
        dim: Size of the embeddings.
        out_dim: Size of the projections.
        norm: `"none"`, as in the paper, or `"batch"` for batch normalization before the ReLU. As in SimCLR, each branch
            is normalized with its own statistics. Without normalization, the projections of the two formats start in
            two separate cones, and small batches need many steps to align them.
        **kwargs: Passed on to `keras.layers.Layer`.
    """

    def __init__(self, *, dim: int, out_dim: int = 512, norm: str = "none", **kwargs):
        super().__init__(**kwargs)
        self.dim = dim
        self.out_dim = out_dim
        self.norm = norm
        self.hidden = layers.Dense(dim, use_bias=norm == "none", name="hidden")
        self.normalize = None if norm == "none" else normalization(norm, name="norm")
        self.output_layer = layers.Dense(out_dim, name="output")

    def build(self, input_shape: Shape) -> None:
        self.hidden.build((None, self.dim))
        if self.normalize is not None:
            self.normalize.build((None, self.dim))
        self.output_layer.build((None, self.dim))
        self.built = True

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        x = self.hidden(features)  # (batch, dim)
        if self.normalize is not None:
            x = self.normalize(x, training=training)
        return self.output_layer(keras.ops.relu(x))  # (batch, out_dim)

    def get_config(self) -> dict:
        return {**super().get_config(), "dim": self.dim, "out_dim": self.out_dim, "norm": self.norm}
