"""Configs on disk: what is written is read back, and what does not fit is refused by name."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from metarl.errors import CheckpointError, ConfigError
from metarl.runs.config import describe_config, load_config
from metarl.runs.run import Run


class Color(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True)
class Inner:
    width: int = 32
    rates: tuple[float, ...] = (0.1, 0.2)


@dataclass(frozen=True)
class Config:
    family: str = "kitchen/season"
    learning_rate: float = 3e-4
    limit: float = float("inf")
    seed: int | None = None
    method: Literal["maml", "scratch"] = "maml"
    inner: Inner = field(default_factory=Inner)
    out: Path | None = Path("runs")
    color: Color = Color.BLUE
    pair: tuple[int, str] = (1, "a")
    names: list[str] = field(default_factory=lambda: ["x"])
    weights: dict[str, float] = field(default_factory=lambda: {"a": 1.0})


def start(folder, config):
    return Run.create(folder, config, tensorboard=False)


def test_config_round_trip(tmp_path):
    config = Config(seed=3, out=None, inner=Inner(rates=()))
    start(tmp_path, config).close()
    assert load_config(tmp_path, Config) == config
    assert load_config(str(tmp_path / "config.json"), Config) == config


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"learnig_rate": 1.0}, "did you mean 'learning_rate'"),
        ({"inner": {"width": 1, "rate": ()}}, "did you mean 'rates'"),
        ({"inner": {"width": 1}}, "missing rates"),
        ({"inner": 3}, "Config.inner: 3 is a int, expected Inner"),
        ({"learning_rate": "fast"}, "Config.learning_rate: 'fast' is a str, expected float"),
        ({"seed": 1.5}, "Config.seed: 1.5 is a float"),
        ({"seed": True}, "Config.seed: True is a bool"),
        ({"method": "mamll"}, "did you mean 'maml'"),
        ({"color": "BLEU"}, "did you mean 'BLUE'"),
        ({"pair": [1]}, "1 values, expected 2"),
        ({"names": "x"}, "Config.names: 'x' is a str"),
        ({"names": [1]}, r"Config.names\[0\]: 1 is a int"),
        ({"weights": {"a": "b"}}, "Config.weights.a"),
        ({"weights": []}, "Config.weights"),
        ({"family": None}, "Config.family: None"),
        ({"class": "other.Recipe"}, "config of a Recipe"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(change, match):
    with pytest.raises(ConfigError, match=match):
        load_config({**describe_config(Config()), **change}, Config)


def test_a_missing_config_key_is_refused():
    saved = describe_config(Config())
    del saved["method"]
    with pytest.raises(ConfigError, match="missing method"):
        load_config(saved, Config)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_damaged_config_file(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_config(tmp_path, Config)


def test_a_missing_config_file(tmp_path):
    with pytest.raises(CheckpointError, match="expected a run folder"):
        load_config(tmp_path, Config)


def test_only_frozen_dataclasses_are_configs(tmp_path):
    @dataclass
    class Loose:
        a: int = 1

    for wrong in (Loose(), {"a": 1}, Config):
        with pytest.raises(ConfigError, match="frozen"):
            start(tmp_path / "run", wrong)
    with pytest.raises(ConfigError, match=r"Config.names\[0\]: cannot save a object"):
        start(tmp_path / "run", Config(names=[object()]))
    assert not (tmp_path / "run").exists()
