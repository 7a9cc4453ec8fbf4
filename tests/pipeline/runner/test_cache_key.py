import pathlib
import shutil
import sys

import pytest

from components.base import ArtifactType, Component
from pipeline import dag
from pipeline.configs import presets
from pipeline.metadata.executions import Artifact, CacheKey
from pipeline.runner import cache_key
from tests.pipeline.runner import stages

SOURCES = pathlib.Path(__file__).with_name("sources")


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """Packages that a test can import and change: a copy of `sources/`."""
    copy = tmp_path / "sources"
    shutil.copytree(SOURCES, copy)
    monkeypatch.syspath_prepend(copy)
    yield copy
    packages = {folder.name for folder in copy.iterdir()}
    for name in [name for name in sys.modules if name.split(".")[0] in packages]:
        del sys.modules[name]


@pytest.fixture
def stage(sources):
    """A component in its own package that names another package as its code."""
    # Imported here because the fixture `sources` puts the package on the path.
    from stage_package.stage.component import Stage

    return Stage()


def test_the_code_of_a_component_is_its_own_package_and_what_it_names(stage):
    assert set(cache_key.code_digests(stage)) == {
        "stage_package/stage/__init__.py",
        "stage_package/stage/component.py",
        "helper_package/helpers/__init__.py",
        "helper_package/helpers/arithmetic.py",
    }


@pytest.mark.parametrize(
    ("source", "is_same"),
    [
        ('# A comment.\ndef double(x):\n    """Doubles."""\n\n    return 2 * x\n', True),
        ("def double(x):\n    return 3 * x\n", False),
        ("def double(x, y=1):\n    return 2 * x\n", False),
    ],
)
def test_only_changes_of_meaning_change_a_code_digest(stage, sources, source, is_same):
    before = cache_key.code_digests(stage)
    (sources / "helper_package/helpers/arithmetic.py").write_text(source)
    after = cache_key.code_digests(stage)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == (set() if is_same else {"helper_package/helpers/arithmetic.py"})


def test_code_that_does_not_exist_is_an_error(stage):
    type(stage).code = ("helper_package.gone",)
    with pytest.raises(ModuleNotFoundError, match="helper_package.gone"):
        cache_key.code_digests(stage)


@pytest.mark.usefixtures("sources")
def test_the_code_of_a_component_in_a_plain_module_is_that_module():
    # Imported here because the fixture `sources` puts the package on the path.
    from flat_package.stage import Stage

    assert list(cache_key.code_digests(Stage())) == ["flat_package/stage.py"]


def test_every_stage_of_the_pipeline_names_code_that_exists():
    for node in dag.create_pipeline(presets.config("quickstart")).nodes:
        own_package = type(node.component).__module__.rpartition(".")[0].replace(".", "/")
        by_module = cache_key.code_digests(node.component)
        assert any(name.startswith(own_package) for name in by_module)
        assert all(pathlib.Path(name).suffix == ".py" for name in by_module)
        assert isinstance(node.component, Component)
        assert all(isinstance(kind, ArtifactType) for kind in node.component.outputs.values())


def test_a_cache_key_leaves_out_fields_that_do_not_decide_the_outputs():
    total = stages.Total(stages.Total.Config(seconds=0.5, workers=8))
    numbers = Artifact(type="Examples", uri="/examples", digest="content", listing="names")
    key = cache_key.build(total, inputs={"examples": numbers})
    assert (key.stage, key.config) == ("Total", {"seconds": 0.5, "fail": False})
    assert (key.inputs, key.external) == ({"examples": "content"}, {})


def test_the_digest_of_a_cache_key_stays_the_same_over_versions():
    """Stored metadata holds digests. If this value changes, every user's stages run again."""
    key = CacheKey(
        stage="Trainer",
        config={"steps": 100, "model": {"width": 0.25}},
        code={"components/trainer/step.py": "a1"},
        inputs={"examples": "b2"},
        external={},
    )
    assert key.digest == "261f6f5d072c925f4981c71604bfa3731455d4bbd8a70806141dbe8636da056a"
