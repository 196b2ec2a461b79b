"""Every command that README and docs show is one: its name, its flags, and the kind of each value."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from metarl.commands import perceive
from metarl.commands.arguments import read_command
from metarl.commands.catalogue import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_BLOCK = re.compile(r"^```(?:\w*)\n(.*?)^```|^((?: {4}.*\n)+)", re.MULTILINE | re.DOTALL)


def commands_of(page: Path) -> list[str]:
    """Lines of code that begin with ``metarl``, without what stands behind two spaces."""
    found = []
    for fenced, indented in _BLOCK.findall(page.read_text()):
        text = re.sub(r"\s*\\\n\s*", " ", fenced or indented)
        lines = [line.strip() for line in text.splitlines()]
        found += [
            re.split(r"\s{2,}|\s[|>#]|;", line)[0] for line in lines if line.startswith("metarl ")
        ]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_can_be_typed(page):
    for line in commands_of(page):
        _, name, *words = shlex.split(line)
        if name.startswith("-"):
            continue
        cls, prog = COMMANDS[name], f"metarl {name}"
        if name == "perceive":
            cls, prog = perceive.COMMANDS[words[0]], f"metarl perceive {words.pop(0)}"
        read_command(cls, prog, words)


def test_there_are_commands_to_look_at():
    assert sum(len(commands_of(page)) for page in PAGES) > 40


PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What the words around a block have said already.
BEFORE = {
    "plugins.md": """
import dataclasses
from metarl.adapt.adaptation import ByParameters
from metarl.learn.config import TrainConfig as MyConfig
from metarl.methods import Adapting, Method, Training
from metarl.rl.ppo import PpoTrainer as MyTrainer
from metarl.runs import fields
from metarl.runs.policies import load_policy_for
from metarl.transfer.config import Settings
from metarl.transfer.strategy import Strategy
from metarl.transfer.reward import by_reward
from metarl.transfer.imitation import taught

def by_mine(checkpoint, meeting, how): ...
""",
}
# Blocks that need files of others, or train at length.
ELSEWHERE = {"sources.md": "tests/sources/test_sb3.py runs what it says"}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if PYTHON.search(page.read_text())], ids=lambda page: page.name
)
def test_python_of_the_pages_runs(page, tmp_path):
    """All blocks of a page, one after the other, with as little training as there can be."""
    source = BEFORE.get(page.name, "") + "\n".join(PYTHON.findall(page.read_text()))
    source = re.sub(r"PPO\((.*)\)\.learn", r"PPO(\1, n_steps=8, batch_size=8).learn", source)
    source = source.replace("100_000", "8").replace("64, observation", "4, observation")
    compile(source, page.name, "exec")
    if page.name in ELSEWHERE:
        return
    (tmp_path / "page.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def blocks_of(page: str, language: str) -> list[str]:
    """Code of a page in a language."""
    text = (ROOT / "docs" / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_benchmark_of_the_page_is_one():
    from metarl.benchmark.definition import define
    from metarl.benchmark.parsing import parse_sections

    [text] = blocks_of("benchmarks.md", "toml")
    found = define(parse_sections(text, "page.toml"), "page.toml")
    assert [table.name for table in found.tables] == ["kitchen/season", "kitchen/heat"]
    assert [arm.name for arm in found.tables[0].arms if not arm.added] == [
        "maml",
        "untrained-inner-loop",
    ]


def test_the_entry_points_of_the_page_are_those_that_are_read():
    from metarl import methods, registry

    [text] = blocks_of("plugins.md", "toml")
    groups = tomllib.loads(text)["project"]["entry-points"]
    assert set(groups) == {registry.GROUP, methods.GROUP}


def test_the_names_of_the_page_are_read(tmp_path):
    from metarl.sources.names import parse_names

    [text] = blocks_of("sources.md", "json")
    (tmp_path / "names.json").write_text(text)
    found = parse_names([str(tmp_path / "names.json")])
    assert found is not None
    assert (found.activation, found.squash, found.low) == ("relu", True, (-2.0,))


def test_every_kind_of_block_has_a_test():
    kinds = {
        (page.name, kind)
        for page in PAGES
        for kind in re.findall(r"^```(\w+)$", page.read_text(), re.MULTILINE)
    }
    known = {"python", "bash"}  # each is looked at, on every page
    others = {("benchmarks.md", "toml"), ("plugins.md", "toml"), ("sources.md", "json")}
    assert {(page, kind) for page, kind in kinds if kind not in known} == others
