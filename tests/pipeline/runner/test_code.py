import pathlib
import shutil
import sys

import pytest

from pipeline.runner import code

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
    """A component in its own package."""
    # Imported here because the fixture `sources` puts the package on the path.
    from stage_package.stage.component import Stage

    return Stage()


def test_the_code_of_a_component_is_what_it_imports_and_names(stage):
    assert set(code.digests(stage)) == {
        "stage_package/stage/component.py",
        "stage_package/stage/executor.py",
        "stage_package/stage/program.py",
        "stage_package/helpers/__init__.py",
        "stage_package/helpers/arithmetic.py",
        "stage_package/helpers/lazy.py",
        "beam_jobs/audio/pcm.py",
    }


@pytest.mark.parametrize(
    ("source", "is_same"),
    [
        ('# A comment.\ndef double(x):\n    """Doubles."""\n\n    return 2 * x\n', True),
        ('"""A docstring."""\n\n\ndef double(x): return 2 * x\n\n\n"""Of what is above."""\n', True),
        ("def double(x):\n    return 3 * x\n", False),
        ("def double(x):\n    return 2.0 * x\n", False),
        ("def double(x, y=1):\n    return 2 * x\n", False),
    ],
)
def test_only_changes_of_meaning_change_a_digest(stage, sources, source, is_same):
    before = code.digests(stage)
    (sources / "stage_package/helpers/arithmetic.py").write_text(source)
    after = code.digests(stage)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == (set() if is_same else {"stage_package/helpers/arithmetic.py"})


@pytest.mark.parametrize(
    ("before", "after", "is_same"),
    [
        (
            'steps: int = pydantic.Field(1, description="Steps.")',
            'steps: int = pydantic.Field(1, description="s")',
            True,
        ),
        (
            'steps: int = pydantic.Field(1, description="Steps.")',
            'steps: int = pydantic.Field(2, description="s")',
            False,
        ),
        ('write(description="a")', 'write(description="b")', False),
    ],
)
def test_descriptions_of_config_fields_do_not_count(stage, sources, before, after, is_same):
    file = sources / "stage_package/helpers/arithmetic.py"
    file.write_text(before)
    first = code.digests(stage)
    file.write_text(after + "\n")
    assert (code.digests(stage) == first) == is_same


def test_pictures_do_not_count(stage, sources):
    before = code.digests(stage)
    (sources / "stage_package/stage/summaries.py").write_text('TITLE = "another"\n')
    assert code.digests(stage) == before


def test_code_that_does_not_exist_is_an_error(stage):
    type(stage).executor = "stage_package.stage.gone"
    with pytest.raises(ModuleNotFoundError, match="stage_package.stage.gone"):
        code.digests(stage)


@pytest.mark.usefixtures("sources")
def test_the_code_of_a_component_in_a_plain_module_is_that_module():
    # Imported here because the fixture `sources` puts the package on the path.
    from flat_package.stage import Stage

    assert list(code.digests(Stage())) == ["flat_package/stage.py"]
