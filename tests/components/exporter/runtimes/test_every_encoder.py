"""Converts every encoder and every front end."""

import keras
import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter

from models import catalog, dual
from models.config import AugmentConfig, EncodersConfig, FrontEndConfig, ModelConfig
from tests.components.exporter.runtimes import files


def _check(config, *, dtype="float32", tolerance=1e-4):
    keras.utils.set_random_seed(0)
    model = dual.DualEncoder(config, dtype=dtype)
    audio = np.random.default_rng(0).uniform(-0.3, 0.3, (1, model.crop_samples)).astype(np.float32)
    expected = {name: np.asarray(values) for name, values in model.embed(audio).items()}
    (content,) = files.convert(model, "litert", ["fp32"])
    interpreter = Interpreter(model_content=content)
    outputs = {"litert": interpreter.get_signature_runner("serving_default")(audio=audio)}
    (content,) = files.convert(model, "onnx", ["fp32"])
    session = onnxruntime.InferenceSession(content)
    names = [output.name for output in session.get_outputs()]
    outputs["onnx"] = dict(zip(names, session.run(names, {"audio": audio}), strict=True))
    for converted in outputs.values():
        assert set(converted) == {"embedding", *expected}
        for name, values in expected.items():
            np.testing.assert_allclose(converted[name], values, atol=tolerance * np.abs(values).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.ENCODERS)
def test_an_encoder_is_converted(name):
    is_waveform = catalog.ENCODERS[name].waveform
    formats = "waveform+waveform" if is_waveform else "log_mel+log_mel"
    encoders = EncodersConfig(**{"waveform" if is_waveform else "log_mel": name})
    plain = AugmentConfig()
    _check(
        ModelConfig(
            formats=formats, encoders=encoders, augment_a=plain, augment_b=plain, width=0.03125, crop_seconds=1.0
        )
    )


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"centre": True, "fft_length": 330, "log": "decibel", "mel_scale": "slaney"}])
@pytest.mark.parametrize("formats", ["spectrogram+mfcc", "mfcc+log_mel"])
def test_a_front_end_is_converted(formats, options):
    front_end = FrontEndConfig(**options)
    _check(ModelConfig(formats=formats, front_end=front_end, n_mels=40, width=0.03125, crop_seconds=0.5))


@pytest.mark.slow
def test_a_model_in_mixed_precision_is_converted_to_float32():
    _check(ModelConfig(width=0.03125, crop_seconds=0.5), dtype="mixed_bfloat16", tolerance=0.05)
