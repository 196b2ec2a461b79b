"""Broken plug-ins, one fault each: under every command a typed error that names them, or none."""

import contextlib
import dataclasses
import os
import re
import signal
import threading
import time

import numpy as np
import pytest
from outsiders import CartFamily
from sliders import Slide

from metarl import registry
from metarl.cli import main
from metarl.conformance import iter_checks, patience
from metarl.errors import FamilyError, MetaRLError
from metarl.interop import FamilyEnv
from metarl.registry import load_plugins, register
from metarl.sim.worlds import Worlds

METHODS = (
    "models", "sample", "reset", "observe", "terms", "success", "configure", "act", "action_dim",
    "advance", "failure", "score", "expert", "caption", "in_split",
)  # fmt: skip
GIVE_NOTHING = ("reset", "configure", "act", "advance")
MAY_GIVE_NOTHING = (*GIVE_NOTHING, "in_split")
PACKAGE = __name__.partition(".")[0]


class Odd(BaseException):
    pass


def _raise(error):
    def broken(self, *given):
        raise error

    return broken


RAISING = {
    "raises": lambda: _raise(RuntimeError("boom")),
    "exits": lambda: _raise(SystemExit(0)),
    "interrupts": lambda: _raise(KeyboardInterrupt()),
    "odd": lambda: _raise(Odd("odd")),
    "no arguments": lambda: lambda: None,
    "no method": lambda: 7,
}


def _bent(method, bend):
    """The method's own answer, every array of it bent."""

    def broken(self, *given):
        return _each(getattr(Slide, method)(self, *given), bend)

    return broken


def _each(found, bend):
    if isinstance(found, dict):
        return {name: _each(x, bend) for name, x in found.items()}
    if dataclasses.is_dataclass(found):
        return dataclasses.replace(found, **_each(vars(found), bend))
    return bend(found)


GIVING = {
    "none": lambda x: None,
    "text": lambda x: "text",
    "short": lambda x: x[:-1] if hasattr(x, "__len__") else -1,
    "nan": lambda x: np.full_like(x, np.nan, dtype=float) if isinstance(x, np.ndarray) else np.nan,
    "object": lambda x: object(),
}

MUTANTS = [(method, kind) for method in METHODS for kind in RAISING] + [
    (method, kind) for method in METHODS if method not in GIVE_NOTHING for kind in GIVING
]
MUTANTS += [("columns", kind) for kind in (*RAISING, "none", "text", "object")]


def mutant(method, kind):
    broken = RAISING[kind]() if kind in RAISING else _bent(method, GIVING[kind])
    return type("Broken", (Slide,), {method: broken, "__module__": __name__})


def used(cls):
    """All that commands do with a family: many worlds, one alone, expert, caption."""
    worlds = Worlds(cls(), 3, num_threads=1)
    worlds.reset()
    for _ in range(2):
        worlds.step(np.asarray(worlds.expert()))
        worlds.caption(1)
    env = FamilyEnv(cls())
    env.reset(seed=0)
    env.step(np.zeros(2, np.float32))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", [*RAISING, *GIVING])
def test_every_mutant_is_a_typed_error_that_names_it(kind):
    for method in [m for m, k in MUTANTS if k == kind]:
        try:
            used(mutant(method, kind))
        except MetaRLError as error:
            said = str(error)
        else:
            assert kind in GIVING or method == "in_split", f"{method} {kind} went unseen"
            continue
        named = "toy/slide (ball)" if method == "models" and kind in GIVING else method
        assert named in said, f"{method} {kind}: {said}"
        assert "\n" not in said
        if kind in ("raises", "exits", "interrupts", "odd"):
            assert f"package {PACKAGE}: Broken.{method}() raised " in said
            assert "(test_broken_plugins.py:" in said


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("method", METHODS)
def test_check_fails_each_mutant_and_never_raises(method):
    kinds = [kind for m, kind in MUTANTS if m == method]
    if method in MAY_GIVE_NOTHING and "none" in kinds:
        kinds.remove("none")
    for kind in kinds if method != "expert" else ("exits", "short"):  # the last that is asked
        rows = iter_checks(mutant(method, kind)(), num_tasks=4)
        found = next((row for row in rows if row.failed), None)
        assert found is not None, f"{method} {kind} passed every check"
        assert "\n" not in found.detail


@pytest.fixture
def plugged(monkeypatch, tmp_path):
    """A registry that forgets what a test adds, and a folder to work in."""
    load_plugins()
    monkeypatch.chdir(tmp_path)
    held = registry._registry
    tables = {kind: dict(table) for kind, table in held.tables.items()}
    monkeypatch.setattr(registry, "_registry", dataclasses.replace(held, tables=tables))


SMALL = ("--set", "num_worlds=4", "hidden=[4]")


@pytest.mark.usefixtures("plugged")
@pytest.mark.parametrize("kind", ["raises", "exits", "interrupts"])
@pytest.mark.parametrize("method", ["sample", "reset", "observe", "terms", "act"])
def test_commands_end_in_one_line(capsys, method, kind):
    register("broken/one")(mutant(method, kind))
    for words in (
        ["watch", "broken/one", "--no-live", "--episodes", "1"],
        ["train", "broken/one", "--method", "ppo", "--iterations", "1", *SMALL],
        ["check", "broken/one"],
    ):
        if words[0] == "check" and kind != "exits":
            continue  # above
        assert main(words) == (1 if words[0] == "check" else 2)
        seen = capsys.readouterr()
        assert f"package {PACKAGE}: Broken.{method}() raised " in seen.out + seen.err
        assert "Traceback" not in seen.err


@pytest.mark.usefixtures("plugged")
def test_escapes_of_a_plugin_do_not_reach_the_screen(capsys):
    evil = "\x1b]0;owned\x07\x1b[2Jboo\u202e"
    cls = type("Broken", (Slide,), {"terms": _raise(RuntimeError(evil)), "__module__": __name__})
    cls.__doc__ = evil
    register("broken/two")(cls)
    for words in (["watch", "broken/two", "--no-live"], ["check", "broken/two"], ["families"]):
        main(words)
        seen = capsys.readouterr()
        assert "boo" in seen.out + seen.err
        assert not {"\x1b", "\x07", "\u202e"} & {*seen.out, *seen.err}


# Families that do not come back --------------------------------------------------------------


def test_a_family_that_hangs_fails_and_the_rest_is_skipped(monkeypatch):
    class Sleeps(Slide):
        def terms(self, worlds, task, action):
            time.sleep(60)

    monkeypatch.setattr(patience, "HUNG_S", 0.6)
    start = time.monotonic()
    rows = list(iter_checks(Sleeps(), num_tasks=4))
    assert time.monotonic() - start < 10
    (failed,) = [row for row in rows if row.failed]
    assert "Sleeps.terms() has not come back" in failed.detail
    assert "(test_broken_plugins.py:" in failed.detail
    after = rows[rows.index(failed) + 1 :]
    assert after
    assert {row.outcome for row in after} == {"skip"}
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_what_swallows_errors_is_ended_as_well(monkeypatch):
    class Stubborn(Slide):
        def observe(self, worlds, task):
            while True:
                with contextlib.suppress(Exception):
                    time.sleep(60)

    monkeypatch.setattr(patience, "HUNG_S", 0.6)
    failed = next(row for row in iter_checks(Stubborn(), num_tasks=4) if row.failed)
    assert "Stubborn.observe() has not come back" in failed.detail


def test_ctrl_c_ends_a_check():
    class Interrupted(Slide):
        def terms(self, worlds, task, action):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        list(iter_checks(Interrupted(), num_tasks=4))


def test_a_check_in_another_thread_waits_without_a_limit():
    rows = []
    thread = threading.Thread(target=lambda: rows.append(next(iter_checks(Slide(), num_tasks=4))))
    thread.start()
    thread.join()
    assert rows[0].passed


def test_the_cause_is_kept():
    with pytest.raises(FamilyError) as caught:
        used(mutant("terms", "raises"))
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.usefixtures("plugged")
def test_nobody_else_ends_a_command(capsys):
    class Odd(Slide):
        @classmethod
        def has_expert(cls):
            raise SystemExit(0)

    register("broken/three")(Odd)
    assert main(["watch", "broken/three", "--no-live", "--policy", "expert"]) == 2
    assert f"package {PACKAGE} raised SystemExit: 0 (test_broken" in capsys.readouterr().err


def test_an_environment_of_others_that_hangs(monkeypatch):
    monkeypatch.setattr(patience, "HUNG_S", 0.6)
    made = CartFamily()
    made.settings = {"fault": "hang"}
    results = list(iter_checks(made, num_tasks=2))
    (failed,) = [r for r in results if r.failed]
    said = r"package outsiders: step\(\) of its environment has not come back for \d+ s \(strangers"
    assert re.match(said, failed.detail), failed.detail
    assert results[-1].outcome == "skip"
