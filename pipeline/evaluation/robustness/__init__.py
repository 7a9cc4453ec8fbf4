"""Measures how an embedding changes with what recordings suffer: `diptych evaluate --robustness`.

`perturbations` and `codecs` change sounds, `measuring` embeds them, `curves` compares them with the clean ones.
"""
