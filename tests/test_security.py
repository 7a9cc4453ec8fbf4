"""Checks that our code opens nothing in a way that could run what it holds; see deploy/security/README.md."""

import ast

from tests.test_layout import MODULES, REPOSITORY

# Modules that run code from what they read, and the one file that restricts such a module.
UNPICKLING = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve", "yaml"}
RESTRICTED = {"components/importer/torch_file.py": {"pickle"}}
RUNNING = {"eval", "exec", "compile", "__import__", "keras.config.enable_unsafe_deserialization"}
LOADING = {
    "torch.load",
    "keras.models.load_model",
    "keras.saving.load_model",
    "keras.config.enable_unsafe_deserialization",
}
MAY_LOAD = {"components/keras_file.py"}
SWITCHES = {"allow_pickle": "False", "safe_mode": "True", "weights_only": "True"}


def _imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def _unsafe(name, text):
    """Yields what is wrong in a file of the given name and text."""
    tree = ast.parse(text)
    for module in UNPICKLING & set(_imported(tree)) - RESTRICTED.get(name, set()):
        yield f"{name} imports {module}"
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        called = ast.unparse(call.func)
        if called in RUNNING or (called in LOADING and name not in MAY_LOAD):
            yield f"{name}:{call.lineno} calls {called}"
        for keyword in call.keywords:
            if keyword.arg in SWITCHES and ast.unparse(keyword.value) != SWITCHES[keyword.arg]:
                yield f"{name}:{call.lineno} sets {keyword.arg}"


def test_nothing_is_unpickled_or_evaluated():
    files = {file.relative_to(REPOSITORY).as_posix(): file.read_text() for file in MODULES.values()}
    assert not [wrong for name, text in files.items() for wrong in _unsafe(name, text)]
    assert MAY_LOAD | set(RESTRICTED) <= set(files)


def test_what_is_unsafe_is_found():
    lines = [
        "from pickle import loads",
        "eval(text)",
        "np.load(file, allow_pickle=True)",
        "keras.models.load_model(file)",
        "keras.saving.load_model(file, safe_mode=False)",
        "torch.load(file)",
    ]
    for line in lines:
        assert list(_unsafe("a.py", line)), line
    assert not list(_unsafe("a.py", "np.load(file)\nast.literal_eval(text)\nre.compile(text)"))
