"""How the package is built: imports point down, nothing unpickles or evaluates, and a name costs no torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = [
    ["prefrl.loop", "prefrl.core", "envs"],
    ["prefrl.config", "prefrl.kinds"],
    ["prefrl.environments", "prefrl.mechanisms", "prefrl.queries", "prefrl.rewards", "prefrl.store"],
    ["prefrl.agents", "prefrl.evaluation", "prefrl.rendering", "prefrl.teachers"],
    ["prefrl.runs"],
    ["prefrl.bench", "prefrl.dataset", "prefrl.labelling", "prefrl.reels"],
    ["prefrl.cli"],
]
"""From the ground up. A folder imports from lower floors only: those of one floor know nothing of each other."""

SOURCES = sorted(path for folder in ("prefrl", "envs") for path in (ROOT / folder).rglob("*.py"))
UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = {"eval", "exec", "torch.load", "th.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
UNSAFE_METHODS = {"load_replay_buffer", "load_from_zip_file", "load_from_pkl"}
PICKLED_CLASSES = {"PPO", "A2C", "SAC", "DQN", "TD3", "VecNormalize", "BaseAlgorithm", "OnPolicyAlgorithm"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): ast.parse(path.read_text()) for path in SOURCES}


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module of ours that a file imports, wherever in the file."""
    for node in ast.walk(tree):
        found = []
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [name if name in MODULES else node.module for name in inner]
        yield from (name for name in found if name.split(".")[0] in ("prefrl", "envs") and name != "prefrl")


def folder_of(module: str) -> str:
    """The folder of a module, as the table names it."""
    parts = module.split(".")
    return "envs" if parts[0] == "envs" else ".".join(parts[:2])


def floor(folder: str) -> int:
    return next(height for height, folders in enumerate(FLOORS) if folder in folders)


@pytest.mark.parametrize("module", [module for module in MODULES if module != "prefrl"])
def test_imports_point_down(module):
    here = folder_of(module)
    for other in set(imports(MODULES[module])):
        there = folder_of(other)
        assert here == there or floor(there) < floor(here), f"{module} imports {other}, which is not below {here}"


def test_no_module_imports_itself_through_others():
    known = {module: {other for other in imports(tree) if other in MODULES} for module, tree in MODULES.items()}
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        assert module not in path, " -> ".join([*path, module])
        if module not in done:
            for other in known[module]:
                visit(other, [*path, module])
            done.add(module)

    for module in known:
        visit(module, [])


def test_test_files_have_names_of_their_own():
    """pytest imports them by their names alone, and refuses the second."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert [name for name in set(names) if names.count(name) > 1] == []


def test_the_loop_imports_nothing_of_ours():
    assert list(imports(MODULES["prefrl.loop"])) == []


def test_environments_import_nothing_of_prefrl():
    for module, tree in MODULES.items():
        if module.startswith("envs"):
            assert not [other for other in imports(tree) if other.startswith("prefrl")], module


@pytest.mark.parametrize("module", ["prefrl", "prefrl.cli", "prefrl.config.command_line"])
def test_import_is_light(module):
    code = f"import {module}, sys; print([m for m in ('torch', 'stable_baselines3', 'gymnasium') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "[]"


def faults(tree: ast.AST) -> Iterator[str]:
    """Whatever could run code that came in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] in UNSAFE_MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNSAFE_MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            owner, _, method = called.rpartition(".")
            pickled = method == "load" and owner.split(".")[-1] in PICKLED_CLASSES
            if called in UNSAFE_CALLS or method in UNSAFE_METHODS or pickled:
                yield called
            for keyword in node.keywords:
                if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False":
                    yield f"{called}(allow_pickle)"


@pytest.mark.parametrize("module", MODULES)
def test_nothing_unpickles_or_evaluates(module):
    assert list(faults(MODULES[module])) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from cloudpickle import loads", "import joblib", "eval('1')", "exec('1')", "torch.load(path)",
        "yaml.load(text)", "np.load(path, allow_pickle=True)", "PPO.load(path)", "sb3.PPO.load(path)",
        "VecNormalize.load(path, venv)", "model.load_replay_buffer(path)",
    ],
)  # fmt: skip
def test_the_ban_list_sees_what_it_bans(line):
    assert list(faults(ast.parse(line)))
