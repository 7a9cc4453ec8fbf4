import numpy as np

from beam_jobs.audio import pcm
from components.trainer import input_pipeline, validation
from tests.components.trainer import training


def test_the_loss_leaves_the_model_unchanged_and_falls_as_the_model_learns(examples, one_device):
    """The projector has batch norm, whose running statistics mix both branches and fit neither."""
    settings = training.config(learning_rate=5e-3, batch_size=16)
    options = input_pipeline.InputOptions(batch_size=16, crop_samples=8000, seed=1)
    batch = next(iter(input_pipeline.training_batches(examples, options)))
    losses = []

    def validate(done, model):
        if done % 20:
            return
        before = model.get_weights()
        embeddings = [model.encode(i, pcm.to_float(batch["ab"[i]]), training=False) for i in range(2)]
        logs, _ = validation.make_loss(model, temperature=0.1)(*embeddings)
        losses.append(float(logs["loss"]))
        for weights, expected in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(weights, expected)

    training.train(settings, examples, strategy=one_device, steps=40, before_step=validate)
    assert losses[1] < losses[0] - 0.5
