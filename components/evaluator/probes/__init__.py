"""Small classifiers on frozen embeddings (paper, section 3). Probing never changes the encoders."""
