"""What a run's command says: the method, the families, and how one types it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_METHOD, _DATA, _USUAL = "--method", "--data", "maml"


def own_command() -> str:
    """Write what started this process, as one types it; no folder of this machine stands in it."""
    program = Path(sys.argv[0])
    own = program.name == "__main__.py" and program.parent.name == "metarl"  # python -m metarl
    return shlex.join(["metarl" if own else program.name, *sys.argv[1:]])


def command_of(config: Mapping[str, Any]) -> str:
    """Find the command in what config.json holds, as one types it; "": there is none.

    Args:
        config: Of any run, also of one that somebody else wrote.
    """
    made = config.get("made-with")
    command = made.get("command") if isinstance(made, Mapping) else None
    if not isinstance(command, str):
        return ""
    program, _, rest = command.partition(" ")
    return f"metarl {rest}" if program.endswith("__main__.py") else command


def method_of(command: str) -> str:
    """Which method a command of ``metarl train`` trains by, or which other command it is; "": no such."""
    words = _words(command)
    if words[:1] == ["train"]:
        return _after(words, _METHOD) or _USUAL
    return " ".join(words[:2]) if words[:1] == ["perceive"] else ""


def subject_of(command: str) -> str:
    """What a command is about: families of ``metarl train``, pictures of ``metarl perceive``."""
    words = _words(command)
    if words[:1] == ["perceive"]:
        return _after(words, _DATA)
    named = words[1:] if words[:1] == ["train"] else []
    end = next((i for i, word in enumerate(named) if word.startswith("-")), len(named))
    return " ".join(named[:end])


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)[1:]
    except ValueError:
        return []


def _after(words: list[str], option: str) -> str:
    place = words.index(option) + 1 if option in words else len(words)
    return words[place] if place < len(words) else ""
