import keras
import numpy as np
import pytest
import tensorflow as tf

from beam_jobs.embedding.embedder import Framing
from components.embedder import baselines
from components.errors import UserError
from components.exporter import saved_model as exporter
from models import dual
from models.config import AugmentConfig, EncodersConfig, ModelConfig
from tests.components.embedder.baselines import checks
from tests.reference import relative_error

COMPARED = Framing(sample_rate=8000, window_samples=16000, hop_samples=6000)
WEIGHTS = np.random.default_rng(0).uniform(size=(4000, 9)).astype(np.float32)
SAMPLES = tf.TensorSpec((None,), tf.float32, name="waveform")
BATCHES = tf.TensorSpec((None, None), tf.float32, name="audio")


def frames(waveform, dim, *, size=4000):
    """Returns some numbers for each part of a sound, (frames, dim)."""
    whole = tf.shape(waveform)[-1] // size
    shape = tf.concat([tf.shape(waveform)[:-1], [whole, size]], axis=0)
    return tf.abs(tf.reshape(waveform[..., : whole * size], shape)) @ WEIGHTS[:size, :dim]


class Yamnet(tf.Module):
    """Called like YAMNet on its hub: with samples, for scores, embeddings and a spectrogram."""

    @tf.function(input_signature=[SAMPLES])
    def __call__(self, waveform):
        return frames(waveform, 3), frames(waveform, 5), frames(waveform, 7, size=1000)


class BatchedYamnet(tf.Module):
    """Called like YAMNet in its repository now: traced for samples and for batches, with and without training."""

    def __init__(self):
        super().__init__()
        for spec in (SAMPLES, BATCHES):
            for training in (False, True):
                self.__call__.get_concrete_function(spec, training=training)

    @tf.function
    def __call__(self, waveform, as_dict=False, returns=("predictions", "embeddings"), training=False):
        outputs = {"predictions": frames(waveform, 3), "embeddings": frames(waveform, 5)}
        return outputs if as_dict else [outputs[name] for name in returns] + [frames(waveform, 7)]


class Vggish(tf.Module):
    """Called like VGGish."""

    @tf.function(input_signature=[SAMPLES])
    def __call__(self, waveform):
        return frames(waveform, 8)


class OldPerch(tf.Module):
    """Called like Perch before version 8: one window of 5 s at a time."""

    @tf.function(input_signature=[tf.TensorSpec((1, 160000), tf.float32)])
    def infer_tf(self, audio):
        return frames(audio, 4)[:, 0], tf.reduce_max(frames(audio, 6), axis=1)


class Perch(tf.Module):
    """Called like Perch 2, by its signature."""

    @tf.function(input_signature=[tf.TensorSpec((None, 160000), tf.float32, name="inputs")])
    def serve(self, inputs):
        spatial = frames(inputs, 6)
        return {
            "embedding": tf.reduce_max(spatial, axis=1),
            "spatial_embedding": spatial[:, :, None],
            "label": frames(inputs, 4)[:, 0],
            "spectrogram": frames(inputs, 9),
        }


def save(module, folder, signatures=None):
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


def load(spec, framing=COMPARED):
    return baselines.parse(str(spec), framing=framing).load()


def means(sounds, dim):
    """Returns what the models above average to."""
    return tf.reduce_mean(frames(sounds, dim), axis=1).numpy()


def test_models_like_yamnet_give_their_embeddings(tmp_path):
    for name, module in (("hub", Yamnet()), ("now", BatchedYamnet())):
        single = module.__call__.get_concrete_function(SAMPLES)
        embedder = load(f"yamnet={save(module, tmp_path / name, signatures=single)}")
        assert embedder.framing == Framing(sample_rate=16000, window_samples=32000, hop_samples=12000)
        sounds, vectors = checks.check(embedder, dims={"embedding": 5})
        assert relative_error(vectors["embedding"], means(sounds, 5)) < 1e-4
        assert load(f"yamnet:output_2={tmp_path / name}").dims == {"embedding": 7}


def test_models_like_vggish_give_their_only_output(tmp_path):
    save(Vggish(), tmp_path / "vggish")
    sounds, vectors = checks.check(load(f"vggish={tmp_path / 'vggish'}"), dims={"embedding": 8})
    assert relative_error(vectors["embedding"], means(sounds, 8)) < 1e-4
    short = Framing(sample_rate=16000, window_samples=800, hop_samples=400)
    assert load(f"vggish@22050={tmp_path / 'vggish'}", short).framing == Framing(
        sample_rate=22050, window_samples=22050, hop_samples=551
    )


def test_models_like_perch_get_windows_of_5_s_at_32_khz_with_the_same_peak(tmp_path):
    module = Perch()
    save(OldPerch(), tmp_path / "old")
    save(module, tmp_path / "new", signatures=module.serve)
    for version in ("old", "new"):
        embedder = load(f"perch={tmp_path / version}")
        assert embedder.framing == Framing(sample_rate=32000, window_samples=160000, hop_samples=80000)
        assert dict(embedder.dims) == {"embedding": 6}
        sounds = checks.windows(embedder.framing) + np.float32(0.3)
        centered = sounds - sounds.mean(axis=1, keepdims=True)
        peaked = 0.25 * centered / np.abs(centered).max(axis=1, keepdims=True)
        expected = tf.reduce_max(frames(peaked, 6), axis=1)
        assert relative_error(embedder.embed(sounds)["embedding"], expected) < 1e-4
        assert not embedder.embed(np.zeros((1, 160000), np.float32))["embedding"].any()
    assert load(f"perch:label={tmp_path / 'new'}").framing.sample_rate == 16000
    assert load(f"perch@16000={tmp_path / 'new'}").framing.sample_rate == 16000


SIGNATURES = {
    "batches": (BATCHES, lambda audio: {"features": tf.reduce_mean(frames(audio, 5), axis=1)}),
    "frames": (BATCHES, lambda audio: {"features": frames(audio, 5)}),
    "one channel": (BATCHES, lambda audio: {"features": frames(audio, 5)[:, :, None]}),
    "samples": (SAMPLES, lambda waveform: {"vector": tf.reduce_mean(frames(waveform, 5), axis=0)}),
    "one of many ranks": (
        BATCHES,
        lambda audio: {
            "x": tf.reduce_mean(frames(audio, 5), axis=1),
            "maps": frames(audio, 3),
            "count": tf.shape(audio),
        },
    ),
    "named": (SAMPLES, lambda waveform: {"embeddings": frames(waveform, 5), "scores": frames(waveform, 9)}),
    "fixed length": (tf.TensorSpec((None, 24000), tf.float32), lambda audio: {"y": frames(audio, 5)}),
    "fixed window": (tf.TensorSpec((24000,), tf.float32), lambda audio: {"y": frames(audio, 5)}),
    "one at a time": (tf.TensorSpec((1, 24000), tf.float32), lambda audio: {"y": frames(audio, 5)[0]}),
    "two at a time": (tf.TensorSpec((2, None), tf.float32), lambda audio: {"y": frames(audio, 5)}),
}


@pytest.mark.parametrize("kind", SIGNATURES)
def test_any_signature_from_waveforms_to_vectors_will_do(kind, tmp_path):
    spec, function = SIGNATURES[kind]
    module = tf.Module()
    module.serve = tf.function(function, input_signature=[spec], autograph=False)
    embedder = load(f"mine={save(module, tmp_path / 'model', signatures={'embed': module.serve})}")
    window = 24000 if "fixed" in kind or kind == "one at a time" else 32000
    assert embedder.framing == Framing(sample_rate=16000, window_samples=window, hop_samples=12000)
    sounds, vectors = checks.check(embedder, dims={"embedding": 5})
    assert relative_error(vectors["embedding"], means(sounds, 5)) < 1e-4


MIXED = {
    "loudness": lambda values, audio: values / tf.reduce_max(audio),
    "range": lambda values, audio: tf.maximum(tf.math.log(values), tf.math.log(tf.reduce_max(values)) - np.log(1e4)),
}


@pytest.mark.parametrize("kind", MIXED)
def test_a_model_that_mixes_the_windows_of_a_batch_gets_one_at_a_time(kind, tmp_path):
    """Such as one whose spectrogram is relative to the loudest of the batch, or ends 80 dB below it."""

    def call(audio):
        return {"y": MIXED[kind](tf.reduce_mean(frames(audio, 5), axis=1), audio)}

    module = tf.Module()
    module.serve = tf.function(call, input_signature=[BATCHES])
    embedder = load(f"mine={save(module, tmp_path / 'model', signatures=module.serve)}")
    sounds, vectors = checks.check(embedder, dims={"embedding": 5})
    for sound, vector in zip(sounds, vectors["embedding"], strict=True):
        assert relative_error(vector, call(sound[None])["y"][0]) < 1e-4


def test_a_model_of_three_outputs_that_is_not_like_yamnet_needs_a_name(tmp_path):
    class Model(tf.Module):
        @tf.function(input_signature=[SAMPLES])
        def __call__(self, waveform):
            return frames(waveform, 5), frames(waveform, 3, size=1000), frames(waveform, 2)

    save(Model(), tmp_path / "model")
    with pytest.raises(UserError, match=r"output_0 \[8, 5\], output_1 \[32, 3\], output_2 \[8, 2\]"):
        load(f"mine={tmp_path / 'model'}")


@pytest.mark.slow
def test_a_model_of_diptych_has_its_own_windows_and_embeddings(tmp_path):
    encoders = EncodersConfig(waveform="conv160")
    config = ModelConfig(
        formats="waveform+waveform", share_encoder=False, encoders=encoders, width=1 / 64, crop_seconds=0.25,
        augment_b=AugmentConfig(),
    )  # fmt: skip
    model = dual.DualEncoder(config)
    exporter.export(model, tmp_path / "model")
    embedder = load(f"other={tmp_path / 'model'}")
    assert embedder.framing == Framing(sample_rate=16000, window_samples=4000, hop_samples=2000)
    sounds, vectors = checks.check(embedder, dims=model.dims)
    for name in ("waveform_a", "waveform_b"):
        assert relative_error(vectors[name], np.asarray(model.embed(sounds)[name])) < 1e-4
    with pytest.raises(UserError, match="model tells its outputs and its sample rate itself: give other=.*model"):
        load(f"other@16000={tmp_path / 'model'}")


def test_a_model_tells_its_sample_rate(tmp_path):
    class Telling(Vggish):
        def __init__(self):
            super().__init__()
            self.sample_rate = tf.Variable(22050, trainable=False)

    class Function(Vggish):
        @tf.function(input_signature=[])
        def sample_rate(self):
            return tf.constant(48000)

    for module, rate in ((Telling(), 22050), (Function(), 48000)):
        folder = save(module, tmp_path / str(rate))
        assert load(f"mine={folder}").framing.sample_rate == rate
        assert load(f"mine@8000={folder}").framing.sample_rate == 8000


def test_a_keras_model_is_a_saved_model_like_any_other(tmp_path):
    model = keras.Sequential([keras.Input((16000,)), keras.layers.Dense(4)])
    model.export(str(tmp_path / "model"))
    sounds, vectors = checks.check(load(f"keras={tmp_path / 'model'}"), dims={"embedding": 4})
    assert relative_error(vectors["embedding"], np.asarray(model(sounds))) < 1e-4


REFUSED = {
    "several": (
        lambda audio: {"a": frames(audio, 3), "b": frames(audio, 5)},
        r"has several outputs; the shapes for one window are a \[1, 8, 3\], b \[1, 8, 5\]: "
        "choose one with mine:OUTPUT=.*model",
    ),
    "scalars": (lambda audio: {"a": tf.reduce_mean(audio, axis=1)}, r"has several outputs.* a \[1\]"),
    "integers": (lambda audio: {"a": tf.cast(audio, tf.int32)}, "has several outputs"),
    "not finite": (
        lambda audio: {"a": tf.math.log(-tf.abs(audio))},
        "gives a vector 'embedding' that is not finite for faint noise: leave it out, or name another",
    ),
    "fails": (lambda audio: {"a": tf.ensure_shape(audio, (None, 7))}, "fails on sound .*signature serving_default: "),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_model_without_clear_vectors_is_refused_in_a_sentence(kind, tmp_path):
    function, message = REFUSED[kind]
    module = tf.Module()
    module.serve = tf.function(function, input_signature=[BATCHES], autograph=False)
    save(module, tmp_path / "model", signatures=module.serve)
    with pytest.raises(UserError, match=message) as error:
        load(f"mine={tmp_path / 'model'}")
    assert "\n" not in str(error.value)
    if kind == "several":
        assert load(f"mine:b={tmp_path / 'model'}").dims == {"embedding": 5}
        with pytest.raises(UserError, match="has no output 'c' with a vector for each window; .* a .*, b "):
            load(f"mine:c={tmp_path / 'model'}")


def test_a_model_of_something_else_than_waveforms_is_refused(tmp_path):
    module = tf.Module()
    specs = {"image": tf.TensorSpec((None, 8, 8, 3), tf.float32), "ids": tf.TensorSpec((None, 9), tf.int32)}
    functions = {name: tf.function(lambda x: {"y": x}, input_signature=[spec]) for name, spec in specs.items()}
    module.functions = list(functions.values())
    save(module, tmp_path / "model", signatures=functions)
    with pytest.raises(UserError, match="has no signature or method whose only input is a float32 waveform"):
        load(f"mine={tmp_path / 'model'}")


def test_a_damaged_saved_model_is_refused(tmp_path):
    save(Vggish(), tmp_path / "model")
    graph = tmp_path / "model" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:2000])
    with pytest.raises(UserError, match="model cannot be loaded as a SavedModel .*: copy or export it again"):
        load(f"mine={tmp_path / 'model'}")
