"""Every command that README and docs show is one: its name, its flags, and the kind of each value."""

from __future__ import annotations

import re
import shlex
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
