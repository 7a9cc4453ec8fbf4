"""Front ends, augmentations, encoders, heads and the contrastive loss, written with `keras` and `keras.ops` only.

Nothing in this package reads files or flags, or imports other packages of Diptych.
"""
