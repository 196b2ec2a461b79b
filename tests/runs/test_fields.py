"""Fields that know what is valid."""

from __future__ import annotations

import dataclasses
import math

import pytest

from metarl.errors import ConfigError
from metarl.runs import fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(fields.Checked):
    num_tasks: int = fields.count(3)
    few: int | None = fields.count(None, least=0, most=5, optional=True)
    limit_s: float | None = fields.seconds(None, optional=True)
    seed: int = fields.seed()
    log_std: float | None = fields.log_std(-1.0, optional=True)
    rate: float = fields.positive(1e-3)
    share: float = fields.share(0.5)
    hidden: tuple[int, ...] = fields.widths((8, 8))


@pytest.mark.parametrize(
    "good",
    [{}, {"few": 0}, {"few": 5}, {"limit_s": 3}, {"seed": 2**32 - 1}, {"log_std": None}],
    ids=str,
)
def test_what_is_valid(good):
    assert dataclasses.replace(Config(), **good) == Config(**good)


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_tasks": 0}, {"num_tasks": 10**9 + 1}, {"num_tasks": 2.0}, {"num_tasks": True},
        {"num_tasks": None}, {"num_tasks": "2"}, {"few": 6}, {"few": -1},
        {"limit_s": 0.0}, {"limit_s": math.inf}, {"limit_s": math.nan}, {"limit_s": 1e300},
        {"seed": 2**32}, {"seed": -1}, {"seed": None}, {"seed": 10**5000},
        {"log_std": 1e9}, {"log_std": math.nan}, {"rate": math.nan}, {"rate": 0},
        {"share": 1.1}, {"hidden": (8, 10**12)}, {"hidden": (0,)}, {"hidden": 8},
    ],
    ids=lambda wrong: next(iter(wrong)),
)  # fmt: skip
def test_what_is_not_is_one_line(wrong):
    with pytest.raises(ConfigError, match=rf"^{next(iter(wrong))} is .* expected ") as error:
        Config(**wrong)
    assert len(str(error.value)) < 300
