"""Short names of families beside one another."""

from __future__ import annotations

from collections.abc import Sequence

from metarl.names import split_name


def short_names(names: Sequence[str]) -> list[str]:
    """Leave out what all names have in common: package, family, and options of one value."""
    parts = [split_name(name) for name in names]
    bases = [base for base, _ in parts]
    if len({base.rpartition("/")[0] for base in bases}) == 1:
        bases = [base.rpartition("/")[2] for base in bases]
    every = [set(options.items()) for _, options in parts]
    common = set.intersection(*every) if len(names) > 1 else set()
    own = [[v for k, v in options.items() if (k, v) not in common] for _, options in parts]
    if len(set(bases)) > 1 or not all(own) or len(names) == 1:
        own = [[base, *values] for base, values in zip(bases, own)]
    short = [" ".join(words) for words in own]
    return short if len(set(short)) == len(set(names)) else list(names)
