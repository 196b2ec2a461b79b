"""What was typed, as somebody types it again."""

from __future__ import annotations

import sys

import pytest

from metarl.runs.command import own_command


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("/there/metarl/__main__.py", "metarl adapt 'a b' --updates 3"),  # python -m metarl
        ("/usr/bin/metarl", "metarl adapt 'a b' --updates 3"),
        ("benchmarks/advice.py", "advice.py adapt 'a b' --updates 3"),
        ("/there/theirs/__main__.py", "__main__.py adapt 'a b' --updates 3"),
    ],
)
def test_the_command_is_one_that_can_be_typed(monkeypatch, program, said):
    monkeypatch.setattr(sys, "argv", [program, "adapt", "a b", "--updates", "3"])
    assert own_command() == said
