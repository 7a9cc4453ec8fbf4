"""Figure 2 for longer and longer trainings: they run on an accelerator, with Keras on JAX.

The longest trainings of the curve take hours of processor time each, and minutes on an accelerator. Each has about as
many steps as `diptych ablate figure2` gives it for its processor time:

    python -m tests.benchmarks.accelerator.clips ESC-50 clips.npy
    KERAS_BACKEND=jax python -m tests.benchmarks.accelerator.train clips.npy --cell waveform+log_mel --to models
    python -m tests.benchmarks.accelerator.score models --esc50 ESC-50

Compare these trainings with one another, and only roughly with those of `diptych ablate`. They learn from all clips and
not only from the train split, the last weights are scored and not the best by validation, and the accelerator may
multiply in TF32.

`train` needs Keras, JAX, pydantic and etils, but no TensorFlow. `score` runs on TensorFlow, with the Evaluator's
probes.
"""
