"""A part of some work that remembers, waits, fails and dies."""

from __future__ import annotations

import os
import time
from pathlib import Path

from metarl.errors import FamilyError, UnknownNameError


class Sum:
    """Adds up what it is given."""

    def __init__(self, first: int, fails: bool = False):
        if fails:
            raise FamilyError("no worlds")
        self.first = self.total = first

    def anew(self):
        self.total = self.first

    def add(self, number):
        self.total += number
        return self.total

    def pid(self):
        return os.getpid()

    def dies(self, path: str, times: int):
        """Leave without a word, so many times; then give the total."""
        with open(path, "a+") as count:
            count.write("x")
        if len(Path(path).read_text()) <= times:
            os._exit(1)
        return self.total

    def waits(self, path: str):
        """The first time, for ever."""
        if not Path(path).exists():
            Path(path).touch()
            time.sleep(600.0)
        return self.total

    def fails(self, how: str):
        if how == "typed":
            raise UnknownNameError("pot", "pan", ["wok"])
        raise KeyError("raw")
