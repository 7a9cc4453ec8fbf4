"""Builds the cache key of a stage from its config, its code, its inputs and what it reads from outside the pipeline."""

import ast
import functools
import importlib.util
import pathlib
import sys
from collections.abc import Mapping

from beam_jobs import storage
from components.base import Component, StageConfig
from pipeline.metadata.executions import Artifact, CacheKey


def build(component: Component, *, inputs: Mapping[str, Artifact]) -> CacheKey:
    """Returns what decides the outputs of a component that reads `inputs` (input channel -> artifact)."""
    return CacheKey(
        stage=component.name,
        config=config_values(component.config),
        code=code_digests(component),
        inputs={channel: artifact.digest for channel, artifact in inputs.items()},
        external=dict(component.external_digests()),
    )


def config_values(config: StageConfig) -> dict[str, object]:
    """Returns the fields of a config that decide a stage's outputs, as JSON values."""
    return config.model_dump(mode="json", exclude=set(config.incidental))


def code_digests(component: Component) -> dict[str, str]:
    """Returns a digest for each module of the component's own package and of the packages in `component.code`.

    Returns:
        Path of a module, e.g. "models/contrastive.py" -> SHA-256 of its syntax tree. Comments, layout and docstrings do
        not count.

    Raises:
        ModuleNotFoundError: `component.code` names a module that does not exist.
    """
    digests = {}
    for name in (_own_code(component), *component.code):
        source = _source(name)
        path = pathlib.PurePath(*name.split("."))
        if source.is_dir():
            for file in sorted(source.rglob("*.py")):
                digests[str(path / file.relative_to(source))] = _syntax_digest(file, file.stat().st_mtime_ns)
        else:
            digests[str(path.with_suffix(".py"))] = _syntax_digest(source, source.stat().st_mtime_ns)
    return digests


def _own_code(component: Component) -> str:
    """Returns the name of the component's own package, or of its module if that is directly in a top-level package."""
    module = type(component).__module__
    package = module.rpartition(".")[0]
    if "." in package and _source(package).is_dir():
        return package
    return module


def _source(name: str) -> pathlib.Path:
    """Returns the folder of a package or the file of a module. At most the top-level package is imported."""
    top, *rest = name.split(".")
    path = _top_level_source(top)
    if path.name == "__init__.py":
        path = path.parent.joinpath(*rest)
    if path.is_dir() or path.is_file():
        return path
    path = path.with_suffix(".py")
    if not path.is_file():
        raise ModuleNotFoundError(f"No module named {name!r}")
    return path


def _top_level_source(name: str) -> pathlib.Path:
    """Returns the file of a top-level module, which is `__init__.py` for a package."""
    imported_from = getattr(sys.modules.get(name), "__file__", None)
    if imported_from:
        return pathlib.Path(imported_from)
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named {name!r}")
    return pathlib.Path(spec.origin)


@functools.cache
def _syntax_digest(file: pathlib.Path, mtime_ns: int) -> str:
    del mtime_ns  # Only part of the key of `functools.cache`.
    tree = ast.parse(file.read_bytes(), filename=str(file))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            del body[0]
    return storage.text_digest(ast.dump(tree))


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
