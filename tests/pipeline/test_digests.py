import hashlib
import json
import pathlib
import sys

import pytest
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from components.base import ArtifactType, Component
from pipeline import digests

SOURCE = """
from components.base import ArtifactType, Component


class Stage(Component):
    outputs = {"model": ArtifactType.MODEL}
    code = ("helpers_of_stage.deep",)

    def execute(self, *, inputs, outputs, context):
        return 1
"""


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """A component in a package of its own that names another package as its code."""
    for folder in ("stage_package/stage", "helpers_of_stage/deep"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder.split("/")[0] / "__init__.py").touch()
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "stage_package/stage/component.py").write_text(SOURCE)
    (tmp_path / "helpers_of_stage/deep/maths.py").write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    from stage_package.stage.component import Stage

    yield Stage()
    for name in [name for name in sys.modules if name.split(".")[0] in ("stage_package", "helpers_of_stage")]:
        del sys.modules[name]


def test_code_is_the_own_package_and_what_it_names(stage):
    assert set(digests.code_digests(stage)) == {
        "stage_package/stage/__init__.py",
        "stage_package/stage/component.py",
        "helpers_of_stage/deep/__init__.py",
        "helpers_of_stage/deep/maths.py",
    }


@pytest.mark.parametrize(
    ("source", "same"),
    [
        ('# A comment.\ndef double(x):\n    """Doubles."""\n\n    return 2 * x\n', True),
        ("def double(x):\n    return 3 * x\n", False),
        ("def double(x, y=1):\n    return 2 * x\n", False),
    ],
)
def test_only_changes_of_meaning_count(stage, tmp_path, source, same):
    before = digests.code_digests(stage)
    (tmp_path / "helpers_of_stage/deep/maths.py").write_text(source)
    after = digests.code_digests(stage)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == (set() if same else {"helpers_of_stage/deep/maths.py"})


def test_code_that_does_not_exist(stage):
    type(stage).code = ("helpers_of_stage.gone",)
    with pytest.raises(ModuleNotFoundError, match="helpers_of_stage.gone"):
        digests.code_digests(stage)


def test_a_component_in_a_plain_module_of_a_top_package_stands_alone(tmp_path, monkeypatch):
    (tmp_path / "flat_package").mkdir()
    for name in ("__init__", "other"):
        (tmp_path / "flat_package" / f"{name}.py").touch()
    (tmp_path / "flat_package" / "stage.py").write_text(SOURCE.replace('("helpers_of_stage.deep",)', "()"))
    monkeypatch.syspath_prepend(tmp_path)
    from flat_package.stage import Stage

    assert list(digests.code_digests(Stage())) == ["flat_package/stage.py"]


@given(st.dictionaries(st.sampled_from("abcd"), st.binary(max_size=5), min_size=1))
def test_content_depends_on_names_and_bytes_alone(tmp_path_factory, files):
    one, two = (epath.Path(tmp_path_factory.mktemp("content")) for _ in range(2))
    for name, content in files.items():
        (one / name).write_bytes(content)
    for name, content in reversed(files.items()):
        (two / name).write_bytes(content)
    assert digests.content_digest(one) == digests.content_digest(two)
    name = next(iter(files))
    (two / name).write_bytes(bytes(byte ^ 1 for byte in files[name]) or b"x")
    assert digests.content_digest(one) != digests.content_digest(two)
    (two / name).write_bytes(files[name])
    (two / name).rename(two / "z")
    assert digests.content_digest(one) != digests.content_digest(two)


def test_recorded_digests_save_reading(tmp_path):
    folder = epath.Path(tmp_path)
    (folder / "shard").write_bytes(b"audio")
    read = digests.content_digest(folder)
    (folder / "_done").mkdir()
    record = folder / "_done" / "shard.json"
    record.write_text(json.dumps({"sha256": hashlib.sha256(b"audio").hexdigest(), "bytes": 5}))
    assert digests.content_digest(folder) == read
    record.write_text(json.dumps({"sha256": "other", "bytes": 5}))
    assert digests.content_digest(folder) != read
    record.write_text(json.dumps({"sha256": "other", "bytes": 6}))  # Not of this file: it is read after all.
    assert digests.content_digest(folder) == read


def test_differences_in_words():
    before = {"steps": 3000, "model": {"width": 0.125, "name": "a"}, "gone": 1}
    after = {"steps": 100, "model": {"width": 0.25, "name": "a"}, "new": None}
    expected = ["gone 1 -> null", "model.width 0.125 -> 0.25", "new null -> null", "steps 3000 -> 100"]
    assert digests.differences(before, after) == expected


def test_every_stage_of_ours_names_code_that_exists():
    from pipeline import dag
    from pipeline.configs import presets

    for node in dag.create_pipeline(presets.config("quickstart")).nodes:
        own = type(node.component).__module__.rpartition(".")[0].replace(".", "/")
        by_module = digests.code_digests(node.component)
        assert any(name.startswith(own) for name in by_module)
        assert all(pathlib.Path(name).suffix == ".py" for name in by_module)
        assert isinstance(node.component, Component)
        assert all(isinstance(kind, ArtifactType) for kind in node.component.outputs.values())
