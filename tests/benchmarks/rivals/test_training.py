import math
import time

import keras
import pytest
import tensorflow as tf

from tests.benchmarks.rivals import training
from tests.benchmarks.rivals.contenders import CONTENDERS


class Line:
    """Fits a line, so that a step takes a moment."""

    def __init__(self, *, loss=1.0):
        self._weight, self._loss = keras.Variable(1.0), loss
        self.optimizer = keras.optimizers.SGD(0.5)
        self.optimizer.build([self._weight])
        self.rates = []
        self._compiled = tf.function(self._update)

    def step(self):
        self.rates.append(float(self._compiled()))
        until = time.process_time() + 0.01
        while time.process_time() < until:
            pass
        return self._loss

    def _update(self):
        self.optimizer.apply_gradients([(tf.ones(()), self._weight)])
        return tf.identity(self.optimizer.learning_rate)


def test_the_learning_rate_falls_as_a_cosine_of_the_processor_time():
    line, config = Line(), CONTENDERS["cola"].config(seed=0)
    trained = training.train(line, config, cpu_minutes=0.5 / 60)
    assert 0.5 / 60 <= trained.cpu_minutes < 0.7 / 60
    assert trained.steps == len(line.rates) > 10
    assert line.rates[0] == pytest.approx(config.learning_rate, rel=1e-3)
    assert line.rates == sorted(line.rates, reverse=True)
    assert line.rates[-1] < 0.05 * config.learning_rate
    # Each step takes about as long as any other.
    middle = line.rates[len(line.rates) // 2]
    assert middle == pytest.approx((config.learning_rate + config.final_learning_rate) / 2, rel=0.25)


def test_a_loss_that_is_not_finite_ends_the_training():
    with pytest.raises(SystemExit, match="lower learning_rate"):
        training.train(Line(loss=math.nan), CONTENDERS["cola"].config(seed=0), cpu_minutes=1)
