"""Whoever changes the code of a component decides whether its outputs change, and so whether users' stages rerun."""

import ast
import sys

import pytest

from components.embedder import Embedder, EmbedderConfig
from components.exporter import Exporter, ExporterConfig
from pipeline.runner import code
from tests.pipeline.runner import component_versions

COMPONENTS = component_versions.components()

DECIDE_NOTHING = {
    *("absl", "etils", "grpc", "pydantic"),  # logging, paths, job services, configs
    # They carry records and describe them.
    *("apache_beam", "pyarrow", "tensorflow_datasets", "tensorflow_serving"),
    *("numpy", "scipy"),  # Elementary arithmetic; releases differ in rounding at most.
    "tensorflow_io",  # Decodes FLAC, which is lossless.
    *("google", "google_crc32c"),  # Listings of buckets and checksums.
}
DECIDE_NOTHING_IN = {
    # FLAC is lossless, so any decoder gives the same samples.
    "soundfile": {"StatisticsGen", "Trainer", "Exporter", "Embedder"},
    # Only checks files.
    "ai_edge_litert": {"Exporter"},
    # They count where `exporter.formats` asks for them, or a model is such a file, see below.
    **{name: {"Exporter"} for name in ("onnx", "tf2onnx")},
    "onnxruntime": {"Exporter", "Embedder"},
    # Reads and writes files and records.
    "tensorflow": {"AudioExampleGen", "StatisticsGen", "ExampleValidator", "Pusher", "Importer"},
}


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
def test_a_change_of_code_has_been_decided_upon(component):
    name, module = component.name, type(component).__module__.replace(".", "/")
    assert component_versions.recorded().get(name) == component_versions.present(component), (
        f"{name}'s code changed: if its outputs change, raise {name}.version in {module}.py; then run "
        f"`{component_versions.COMMAND}` and commit what it writes."
    )


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
def test_each_imported_library_is_declared_or_known_to_decide_nothing(component):
    imported = {
        package
        for package in _libraries(component) - DECIDE_NOTHING
        if component.name not in DECIDE_NOTHING_IN.get(package, ())
    }
    # SyntheticAudioGen also declares NumPy, which draws its sounds, and the Trainer a library that it used to import.
    assert imported == set(component.libraries) - {"numpy", "scikit-learn"}


def test_what_writes_onnx_files_counts_where_there_are_some():
    for formats, writes in (("onnx", True), ("onnx_fp16", True), ("litert", False)):
        libraries = Exporter(ExporterConfig(formats=(formats,))).libraries
        assert ({"onnx", "onnxruntime", "tf2onnx"} <= set(libraries)) == writes
        assert {"keras", "tensorflow"} <= set(libraries)


def test_what_runs_onnx_files_counts_where_there_are_some():
    assert "onnxruntime" not in Embedder(EmbedderConfig()).libraries
    for config in (EmbedderConfig(model="/m.ONNX"), EmbedderConfig(baselines=("mine:output=/m.onnx",))):
        assert set(Embedder(config).libraries) == {"keras", "soxr", "tensorflow", "onnxruntime"}


@pytest.mark.parametrize("name", ["Embedder", "Exporter", "Trainer"])
def test_scaling_of_samples_belongs_to_each_stage_that_embeds(name):
    (component,) = [component for component in COMPONENTS if component.name == name]
    modules = code.files(component)
    assert {"beam_jobs.audio.pcm", "beam_jobs.examples.samples", "models.frontends"} <= set(modules)
    assert "models.panns" not in modules


def test_a_program_that_a_stage_starts_belongs_to_its_code():
    modules = {component.name: code.files(component) for component in COMPONENTS}
    assert "components.exporter.serve_once" in modules["Exporter"]
    assert "beam_jobs.audio.decoder_process" in modules["AudioExampleGen"]
    assert not any(name.endswith("summaries") for names in modules.values() for name in names)


def _libraries(component):
    """Returns the packages of others that the code of a component imports."""
    packages = set()
    for file in code.files(component).values():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                packages |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                packages.add(node.module.partition(".")[0])
    return packages - {"beam_jobs", "components", "models"} - sys.stdlib_module_names
