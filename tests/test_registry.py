"""Plug-ins: a broken one hides no healthy one, and every error says whose it is."""

import sys
import textwrap

import pytest
import toy

from metarl import registry
from metarl.errors import ConfigError, FamilyError, UnknownNameError
from metarl.names import slug
from metarl.registry import (
    family_class,
    family_names,
    load_plugins,
    make_family,
    option_names,
    register,
)

FAMILY = """
from metarl.family import TaskFamily
from metarl.registry import register

@register({name!r})
class Plugged(TaskFamily):
    pass
"""


@pytest.fixture
def fresh(monkeypatch):
    """A registry that has loaded what is installed, and forgets what a test adds."""
    load_plugins()
    held = registry._registry
    copy = registry._Registry(
        {kind: dict(table) for kind, table in held.tables.items()},
        dict(held.broken), dict(held.refused), set(held.loaded),
    )  # fmt: skip
    monkeypatch.setattr(registry, "_registry", copy)


@pytest.fixture
def install(tmp_path, monkeypatch, fresh):
    """Installs a distribution: a module and its entry point."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(module, source):
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[metarl.families]\n{module} = {module}\n")

    return put


def test_plugin_is_found(install):
    install("plug_good", FAMILY.format(name="good/one"))
    assert "good/one" in family_names()
    assert make_family("good/one").id == "good/one"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import does_not_exist_anywhere", "ModuleNotFoundError"),
        ("\nraise RuntimeError('boom')", "RuntimeError: boom (plug_broken_runtim.py:2)"),
        ("raise SystemExit(3)", "SystemExit"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_broken_plugin_hides_no_healthy_one(install, source, said):
    name = f"plug_broken_{said[:6].lower()}"
    before = family_names()
    install(name, source)
    install(f"zz_{name}", FAMILY.format(name="good/two"))
    assert set(family_names()) == {*before, "good/two"}
    (problem,) = [text for key, text in load_plugins().items() if key == name]
    assert f"package {name}" in problem
    assert said in problem


def test_unknown_name_tells_of_broken_packages(install):
    install("plug_gone", FAMILY.format(name="gone/one") + "\nraise RuntimeError('boom')\n")
    with pytest.raises(UnknownNameError, match=r"package plug_gone .*boom"):
        family_class("gone/one")


def test_families_imported_by_a_broken_plugin_stay(install):
    install("plug_zealthy", FAMILY.format(name="healthy/one"))
    install("plug_borrower", "import plug_zealthy\nraise RuntimeError('boom')")
    assert "healthy/one" in family_names()


def test_duplicate_names_both(install):
    install("plug_first", FAMILY.format(name="same/name"))
    install("plug_second", FAMILY.format(name="same/name"))
    assert "same/name" in family_names()
    (problem,) = load_plugins().values()
    assert "plug_first.Plugged" in problem
    assert "plug_second.Plugged" in problem


def test_duplicate_in_one_process_names_both(fresh):
    with pytest.raises(FamilyError, match=r"toy\.Reach and .*Other"):

        @register("toy/reach")
        class Other(toy.Reach):
            pass

    assert family_class("toy/reach") is toy.Reach
    assert toy.Reach.id == "toy/reach"


def test_registering_the_same_class_again_is_fine(fresh):
    assert register("toy/reach")(toy.Reach) is toy.Reach


def test_unknown_name_gives_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'toy/reach'") as caught:
        family_class("toy/raech")
    assert "valid: " in str(caught.value)
    assert "toy/reach" in str(caught.value)


def test_module_prefix_imports(install):
    install("plug_prefixed", FAMILY.format(name="prefixed/one"))
    assert family_class("plug_prefixed:prefixed/one").__module__ == "plug_prefixed"
    with pytest.raises(FamilyError, match="no_such_module_here"):
        family_class("no_such_module_here:x/y")


def test_raising_module_prefix_is_a_typed_error(install):
    install("plug_raises", "1 / 0")
    with pytest.raises(FamilyError, match=r"plug_raises.*ZeroDivisionError"):
        family_class("plug_raises:x/y")


def test_raising_constructor_is_named(fresh):
    @register("toy/raises")
    class Raises(toy.Reach):
        def __init__(self):
            raise ValueError("boom")

    with pytest.raises(FamilyError, match=r"test_registry.*Raises\(\) raised ValueError: boom"):
        make_family("toy/raises")


def test_options_stand_behind_a_name(fresh):
    @register("toy/optional")
    class Optional(toy.Reach):
        def __init__(self, *, size: str = "1", colour: str = "red"):
            self.size = size
            if size == "huge":
                raise ConfigError("size is 'huge'; expected a number")

    family = make_family("toy/optional@size=2,colour=a/b c")
    assert (family.id, family.size) == ("toy/optional@size=2,colour=a/b c", "2")
    assert make_family("toy/optional", size="3").id == "toy/optional@size=3"
    assert make_family("toy/optional").id == "toy/optional"
    assert option_names(Optional) == ["size", "colour"]
    assert option_names(toy.Reach) == []
    with pytest.raises(
        UnknownNameError, match=r"option of toy/optional 'sise'; did you mean 'size'"
    ):
        family_class("toy/optional@sise=2")
    with pytest.raises(ConfigError, match="size is 'huge'"):
        make_family("toy/optional@size=huge")
    for wrong in ("toy/optional@size", "toy/optional@=2", "toy/optional@size=1,size=2"):
        with pytest.raises(ConfigError, match="NAME=VALUE"):
            family_class(wrong)


def test_a_name_as_a_files_name():
    assert slug("kitchen/add@robot=ur5e,control=joint") == "kitchen-add-robot-ur5e-control-joint"
    assert slug("my_module:kitchen/add") == "kitchen-add"


# What a plug-in may do wrong -------------------------------------------------------------


TWO = """
from metarl.family import TaskFamily
from metarl.registry import register

@register({taken!r})
class Taken(TaskFamily):
    pass

@register({own!r})
class Healthy(TaskFamily):
    pass
"""


@pytest.fixture
def first(monkeypatch):
    """The families that come with metarl are not loaded yet."""
    load_plugins()
    shipped = {name: cls for name, cls in registry._registry.classes.items() if "kitchen" in name}
    copy = registry._Registry(loaded=set(registry._registry.loaded))
    monkeypatch.setattr(registry, "_registry", copy)
    return shipped


def test_only_the_class_that_came_second_is_dropped(install):
    install("plug_thief", TWO.format(taken="kitchen/season", own="thief/own"))
    names = family_names()
    assert {"kitchen/season", "kitchen/heat", "thief/own"} <= set(names)
    assert family_class("kitchen/season").__module__ == "metarl_kitchen.season"
    (said,) = load_plugins().values()
    assert "package plug_thief" in said
    assert "metarl_kitchen.season.Season" in said
    with pytest.raises(FamilyError, match="two families are called 'kitchen/season'"):
        family_class("plug_thief:kitchen/season")  # never another family than was asked for


def test_who_comes_first_does_not_get_a_shipped_name(first):
    season = first["kitchen/season"]
    thief = type("Thief", (toy.Reach,), {"__module__": "plug_early.families"})
    register("kitchen/season")(thief)
    assert registry._registry.classes["kitchen/season"] is thief
    register("kitchen/season")(season)  # the kitchen is imported
    assert registry._registry.classes["kitchen/season"] is season
    (said,) = load_plugins().values()
    assert "package plug_early" in said


BAD = {
    "at": ("@register('bad/na@me')\nclass Bad(TaskFamily): pass", "'bad/na@me'"),
    "number": ("@register(7)\nclass Bad(TaskFamily): pass", "registered as 7"),
    "empty": ("@register('')\nclass Bad(TaskFamily): pass", "registered as ''"),
    "escape": ("@register('bad/\\x1b[2J')\nclass Bad(TaskFamily): pass", "registered as"),
    "horizon": ("@register('bad/one')\nclass Bad(TaskFamily): horizon = 'x'", "horizon is 'x'"),
    "period": (
        "@register('bad/one')\nclass Bad(TaskFamily): control_dt_s = 0",
        "control_dt_s is 0",
    ),
    "function": ("@register('bad/one')\ndef bad(): pass", "expected a class"),
    "class": ("@register('bad/one')\nclass Bad: pass", "derived from TaskFamily"),
    "metaclass": (
        "class Meta(type(TaskFamily)):\n"
        "    def __getattribute__(cls, name): raise RuntimeError('meta')\n"
        "@register('bad/one')\nclass Bad(TaskFamily, metaclass=Meta): pass",
        "meta",
    ),
    "exit": ("import sys\nsys.exit(0)", "SystemExit: 0"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "base": ("class Odd(BaseException): pass\nraise Odd('odd')", "Odd: odd"),
    "message": (
        "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd",
        "its message cannot be read",
    ),
    "long": ("raise ValueError('x' * 10**6)", "ValueError: xxx"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_broken_plugin_is_one_line_and_hides_nobody(install, capsys, fault):
    from metarl.commands.families import list_families

    source, said = BAD[fault]
    head = "from metarl.family import TaskFamily\nfrom metarl.registry import register\n"
    install(f"plug_bad_{fault}", head + source)
    install(f"plug_good_{fault}", FAMILY.format(name="good/one"))
    assert {"good/one", "kitchen/season"} <= set(family_names())
    assert list_families() == 0
    shown = capsys.readouterr().out
    assert "kitchen/season" in shown
    assert "\x1b" not in shown
    (line,) = [text for key, text in load_plugins().items() if f"plug_bad_{fault}" in text]
    assert said in line
    assert len(line) < 600
    assert "\n" not in line


def test_a_row_that_cannot_be_told_hides_no_other(install, capsys):
    from metarl.commands.families import list_families

    source = FAMILY.format(name="bad/row").replace("pass", "task_type = 7")
    install("plug_row", source)
    assert list_families() == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "bad/row" in line]
    assert "broken: it raised TypeError" in row


def test_ctrl_c_while_a_plugin_is_imported_ends_it(install):
    install(
        "plug_slow", "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)"
    )
    with pytest.raises(KeyboardInterrupt):
        load_plugins()


@pytest.mark.parametrize("name", ["queue", "test"])
def test_a_module_whose_name_is_taken_is_told(install, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [p for p in sys.path if p != str(tmp_path)] + [str(tmp_path)])
    install(name, FAMILY.format(name="mine/one"))
    with pytest.raises(FamilyError, match=rf"not {name}\.py in this folder.* rename yours"):
        family_class(f"{name}:mine/one")
    assert f"'{name}' is Python's own" in load_plugins()[name]


@pytest.mark.parametrize(
    "name", ["toy/reach@", "toy/reach@size=", "toy/reach@size=1,", "toy/reach@,"]
)
def test_empty_options_are_refused(name):
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        family_class(name)


def test_a_constructor_that_leaves_is_named(fresh):
    class Leaves(toy.Reach):
        def __init__(self):
            raise SystemExit(0)

    class Nothing(toy.Reach):
        def __new__(cls):
            return None

    register("toy/leaves")(Leaves)
    register("toy/nothing")(Nothing)
    with pytest.raises(FamilyError, match=r"Leaves\(\) raised SystemExit: 0"):
        make_family("toy/leaves")
    with pytest.raises(FamilyError, match=r"Nothing\(\) gave None; expected a family"):
        make_family("toy/nothing")
