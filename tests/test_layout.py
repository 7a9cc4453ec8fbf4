"""Checks the rules of the layout that CONTRIBUTING.md states: who may import whom, and how large a file may be."""

import ast
import graphlib
import pathlib
import re

import pytest

REPOSITORY = pathlib.Path(__file__).parents[1]
PACKAGES = ("beam_jobs", "components", "diptych", "models", "pipeline")
MOST_LINES = 300

# Package -> what of ours it may import besides itself.
MAY_IMPORT = {
    "models": (),
    "beam_jobs": ("models.filters", "models.subclip_starts"),
    "components": ("beam_jobs", "models"),
    # What needs no package of the extra `pipeline`; tests/diptych/test_light_install.py runs it without them.
    "diptych": (
        "beam_jobs.audio",
        "beam_jobs.command_lines",
        "beam_jobs.embedding.embedder",
        "beam_jobs.embedding.windows",
        "beam_jobs.storage",
        "components.embedding_info",
        "components.errors",
        "components.file_errors",
        "components.load_errors",
        "components.model_versions",
    ),
    "pipeline": ("beam_jobs", "components", "diptych", "models"),
}


def _files(*packages):
    return sorted(file for package in packages for file in (REPOSITORY / package).rglob("*.py"))


def _module_of(file):
    parts = file.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module_of(file): file for file in _files(*PACKAGES)}


def _imports(file):
    """Yields each of our modules that a file imports, with the import's node. Imports for type checking count too."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import name` imports the module `package.name` if there is one, else `package`.
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in submodules]
        for name in names:
            if name in MODULES:
                yield name, node


def _is_within(module, package):
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_one_way(package):
    allowed = (package, *MAY_IMPORT[package])
    wrong = [
        f"{file.relative_to(REPOSITORY)}:{node.lineno} imports {module}"
        for file in _files(package)
        for module, node in _imports(file)
        if not any(_is_within(module, other) for other in allowed)
    ]
    assert not wrong


def test_no_stage_imports_another():
    stages = [folder.name for folder in (REPOSITORY / "components").iterdir() if (folder / "component.py").exists()]
    assert len(stages) >= 8
    wrong = [
        f"{file.relative_to(REPOSITORY)}:{node.lineno} imports {module}"
        for stage in stages
        for file in _files(f"components/{stage}")
        for module, node in _imports(file)
        if module.split(".")[0] == "components"
        and module.split(".")[1:2] != [stage]
        and module.split(".")[1:2][0] in stages
    ]
    assert not wrong


def test_there_is_no_import_cycle():
    graph = {name: {module for module, _ in _imports(file)} - {name} for name, file in MODULES.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises a CycleError that names the modules of a cycle


def test_the_map_of_the_audio_package_names_each_of_its_modules():
    folder = REPOSITORY / "beam_jobs" / "audio"
    named = set(re.findall(r"\w+", ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))))
    assert {file.stem for file in folder.glob("*.py")} - {"__init__"} <= named


def test_an_import_within_a_function_says_why():
    wrong = []
    for file in _files(*PACKAGES):
        lines = file.read_text().splitlines()
        for function in ast.walk(ast.parse(file.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom) and not _has_comment(lines, node.lineno - 1):
                    wrong.append(f"{file.relative_to(REPOSITORY)}:{node.lineno}")
    assert not wrong


def _has_comment(lines, index):
    """Returns whether the line of an import, or the comment above its block of imports, says why it is there."""
    if "#" in lines[index]:
        return True
    while not lines[index] or lines[index].strip().startswith(("import ", "from ")):
        index -= 1
    return lines[index].strip().startswith("#")


def test_files_can_be_read_in_a_sitting():
    sizes = {
        str(file.relative_to(REPOSITORY)): len(file.read_text().splitlines()) for file in _files(*PACKAGES, "tests")
    }
    assert not {name: size for name, size in sizes.items() if size > MOST_LINES}


def test_the_suite_can_be_collected_without_extras():
    """`make test` installs none of them, and pytest ends with an error where a file of tests cannot be imported."""
    extras = re.compile(r"^(?:import|from) (google\.(?:api_core|auth|cloud)|apitools|kfp|ml_metadata)\b", re.MULTILINE)
    wrong = {str(file.relative_to(REPOSITORY)): extras.findall(file.read_text()) for file in _files("tests")}
    assert [name for name, found in wrong.items() if found] == ["tests/pipeline/vertex/local_kfp.py"]  # Imported late.
