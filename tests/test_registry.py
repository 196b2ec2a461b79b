"""Plug-ins: a broken one hides no healthy one, and every error says whose it is."""

import textwrap

import pytest
import toy

from metarl import registry
from metarl.errors import ConfigError, FamilyError, UnknownNameError
from metarl.registry import (
    family_class,
    family_names,
    load_plugins,
    make_family,
    option_names,
    register,
    slug,
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
