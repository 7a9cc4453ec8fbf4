"""The curve over compute of figure 2, on an accelerator with Keras on JAX.

The longest trainings of the curve take hours of processor time each, and a minute on an accelerator. Each has as many
steps as `diptych ablate figure2` gives it for its processor time, so that the cells compare as they would there:

    python -m tests.benchmarks.accelerator.clips ESC-50 clips.npy
    KERAS_BACKEND=jax python -m tests.benchmarks.accelerator.train clips.npy --cell waveform+log_mel --to models
    python -m tests.benchmarks.accelerator.score models --esc50 ESC-50

`train` needs neither TensorFlow nor the rest of the pipeline's packages, only Keras, JAX and pydantic. `score` runs on
TensorFlow, with the Evaluator's probes.
"""
