"""Small networks on top of an encoder."""

import keras
from keras import layers

from models.layers import normalization
from models.typing import Shape, Tensor


@keras.saving.register_keras_serializable("diptych")
class Projector(keras.layers.Layer):
    """g of eq. (1): an MLP with one hidden layer and ReLU, `(batch, dim) -> (batch, out_dim)`, shared by both branches.

    The hidden layer is as wide as the input (the paper does not say). `norm="batch"` puts batch normalisation before
    the ReLU, with the statistics of each branch on its own, as in SimCLR: without it two formats start as two separate
    cones and small batches spend long on pulling them together. `"none"` is the paper's reading.
    """

    def __init__(self, *, dim: int, out_dim: int = 512, norm: str = "none", **kwargs):
        super().__init__(**kwargs)
        self.dim, self.out_dim, self.norm = dim, out_dim, norm
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
        x = self.hidden(features)
        if self.normalize is not None:
            x = self.normalize(x, training=training)
        return self.output_layer(keras.ops.relu(x))

    def get_config(self) -> dict:
        return {**super().get_config(), "dim": self.dim, "out_dim": self.out_dim, "norm": self.norm}
