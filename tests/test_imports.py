"""Imports point one way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENVS = sorted(p.name for p in (ROOT / "envs").iterdir() if (p / "__init__.py").exists())

# Each may import its own level and those above it in this list.
LEVELS = [
    {
        "errors",
        "types",
        "rewards",
        "rounding",
        "ambient",
        "machine",
        "plugins",
        "built_in",
        "physics",
        "names",
    },
    {"streams", "methods", "nn", "cluster"},
    {"family", "registry", "sim"},
    {"runs", "film", "robots"},
    {"interop", "learn", "sources"},
    {"conformance", "adapt"},
    {"meta", "multitask", "transfer", "perception", "rl"},
    {"report", "viewer", "grid", "matrix", "benchmark", "advise", "tune"},
    {"commands", "demo", "cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
FOR_FAMILIES = ("family", "types", "errors", "rewards", "sim", "registry", "streams", "robots")
FOR_FAMILIES_EXACTLY = ("metarl.perception.pictures",)


def imports(path):
    """Every module that a file imports, guarded by TYPE_CHECKING or not."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            if node.module == "metarl":
                yield from (f"metarl.{alias.name}" for alias in node.names)
            else:
                yield node.module


def room(module):
    return module.split(".")[1]


PACKAGES = {
    ".".join(path.parent.relative_to(base).parts)
    for base in (ROOT, ROOT / "envs")
    for path in (base / "metarl", *(base / name for name in ENVS))
    for path in path.rglob("__init__.py")
}
TEMPLATE = ROOT / "metarl/template"  # what `metarl new` writes is no part of the library
LIBRARY = sorted(p for p in (ROOT / "metarl").rglob("*.py") if not p.is_relative_to(TEMPLATE))
FAMILIES = sorted(p for name in ENVS for p in (ROOT / "envs" / name).rglob("*.py"))


def test_there_is_something_to_check():
    assert "metarl_kitchen" in ENVS
    assert len(LIBRARY) > 30
    assert len(FAMILIES) > 3


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: str(p.relative_to(ROOT)))
def test_library_imports_point_one_way(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts == ("metarl", "__init__"):
        return  # the package itself, loaded before everything
    for module in imports(path):
        top = module.partition(".")[0]
        assert top not in (*ENVS, "envs", "tests", "benchmarks"), f"{path}: imports {module}"
        if top == "metarl" and "." in module:
            assert LEVEL[room(module)] <= LEVEL[parts[1]], f"{path}: imports {module}"


@pytest.mark.parametrize("path", FAMILIES, ids=lambda p: str(p.relative_to(ROOT)))
def test_families_import_the_contract_alone(path):
    own = path.relative_to(ROOT / "envs").parts[0]
    for module in imports(path):
        top = module.partition(".")[0]
        assert top == own or top not in ENVS, f"{path}: imports {module}"
        if top == "metarl":
            allowed = room(module) in FOR_FAMILIES or module in FOR_FAMILIES_EXACTLY
            assert allowed, f"{path}: imports {module}"


def imported_files(path, files):
    """Which files a file imports: of ``from package import module`` the module, not the package."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        found = [f"{node.module}.{name}" for name in names if f"{node.module}.{name}" in files]
        yield from found
        if len(found) < len(names) and node.module in files:
            yield node.module
    yield from (module for module in imports(path) if module in files and module not in PACKAGES)


def dotted(path):
    parts = path.relative_to(
        ROOT if ROOT / "metarl" in path.parents else ROOT / "envs"
    ).with_suffix("")
    return ".".join(part for part in parts.parts if part != "__init__")


def test_no_two_files_import_each_other():
    files = {dotted(path): path for path in (*LIBRARY, *FAMILIES)}
    arrows = {
        (name, module)
        for name, path in files.items()
        for module in imported_files(path, files)
        if module != name
    }
    assert len(arrows) > 300
    assert [pair for pair in sorted(arrows) if pair[::-1] in arrows] == []


def test_interop_is_lazy_about_sb3():
    code = (
        "import sys, metarl.interop; "
        "assert not {'torch', 'stable_baselines3'} & set(sys.modules), 'imported too early'; "
        "from metarl.interop import FamilyVecEnv; assert 'stable_baselines3' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # not even the notice of the gym that SB3 looks for
