"""MJCF from anywhere: where it is wrong, what it asks for, where it leads."""

import os

import mujoco
import numpy as np
import pytest

from metarl.errors import SimulationError
from metarl.sim.models import compile_model, load_spec, require_finite

XML = """<mujoco>
<worldbody><body name="b"><joint name="x" type="slide"/><geom name="g" size=".02" mass="1"/></body>
</worldbody><actuator><motor name="m" joint="x"/></actuator></mujoco>"""
TETRAHEDRON = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\nf 1 3 4\nf 2 3 4\n"
MESH = '<asset>\n<mesh name="q" file="{}"/></asset><worldbody><geom type="mesh" mesh="q"/>'
BALL = '<mujocoinclude><worldbody><geom size=".1"/></worldbody></mujocoinclude>'


def with_more(more: str) -> str:
    return XML.replace("<worldbody>", f"{more}<worldbody>")


def refused(source) -> str:
    with pytest.raises(SimulationError) as found:
        compile_model(source, "toy/a (ball)")
    said = str(found.value)
    assert said.startswith("toy/a (ball): ")
    assert "\n" not in said
    return said


@pytest.fixture
def put(tmp_path):
    """Writes a file into a folder of a model's own."""
    folder = tmp_path / "own"
    folder.mkdir()

    def write(text, name="arm.xml"):
        path = folder / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


# What is read ---------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["\ufeff", "\n \t", '\ufeff<?xml version="1.0"?>\n'])
def test_a_byte_order_mark_is_no_file_name(put, mark):
    assert compile_model(mark + XML, "o").nbody == 2
    assert compile_model(put(mark.strip("\n \t") + XML), "o").nbody == 2


def test_what_mujoco_takes_is_taken(put):
    odd = XML.replace("<mujoco>", '<mujoco model="a&amp;b & c"><!-- a -- b < " -->')
    for text in (odd, XML.replace('name="b"', 'name="nan"')):
        mujoco.MjModel.from_xml_string(text)
        assert compile_model(text, "o").nbody == compile_model(put(text), "o").nbody == 2
    latin = put("")
    latin.write_bytes(XML.replace("<mujoco>", "<mujoco><!-- Größe -->").encode("latin-1"))
    assert compile_model(latin, "o").nbody == 2


def test_same_model_as_mujoco_makes(put):
    mine, theirs = compile_model(put(XML), "o"), mujoco.MjModel.from_xml_string(XML)
    for name in ("body_mass", "body_inertia", "geom_size", "dof_damping", "qpos0"):
        assert np.array_equal(getattr(mine, name), getattr(theirs, name))


def test_what_is_no_model_is_named(put, tmp_path):
    os.mkfifo(tmp_path / "pipe.xml")
    wide = put("", "wide.xml")
    wide.write_bytes(XML.encode("utf-16"))
    for source, said in (
        (tmp_path / "pipe.xml", "pipe.xml is no regular file; expected an MJCF file"),
        (tmp_path, "is no regular file"),
        (tmp_path / "no.xml", "there is no MJCF file"),
        (wide, "is written in UTF-16; save it as UTF-8"),
        (b"<mujoco/>", "got bytes; expected an MjSpec, MJCF text, or a path"),
        (None, "got NoneType"),
        ("a\0b", "cannot read the MJCF file"),
    ):
        assert said in refused(source)
    with wide.open("wb") as file:
        file.truncate(2**36)
    assert "has 68,719,476,736 bytes; MJCF may have" in refused(wide)


def test_malformed_mjcf_has_its_line(put):
    path = put(XML.replace("</body>", "</bodi>"))
    assert f"{path}:2: no well-formed XML: mismatched tag" in refused(path)
    path = put(XML.replace("slide", "slyde"))
    assert f"{path}: the model does not compile" in refused(path)
    assert "'slyde' Element 'joint', line 2" in refused(path)


# Where it leads -------------------------------------------------------------------------


def test_a_missing_file_has_its_line(put):
    path = put(XML.replace("<worldbody>", MESH.format("nope.obj"), 1))
    assert f'{path}:3: file="nope.obj" of <mesh> is missing; there is no' in refused(path)
    text = with_more('<include file="nope.xml"/>')
    assert f'{put(text)}:2: file="nope.xml" of <include> is missing' in refused(put(text))
    assert 'MJCF:2: file="nope.xml" of <include> is missing' in refused(text)
    spec = load_spec("<mujoco/>", "o")
    spec.add_mesh(name="cup", file="nope.obj")
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname="cup")
    assert "Error opening file 'nope.obj' (meshes 'cup', built in code)" in refused(spec)


def test_own_files_are_found(put):
    (put("").parent / "assets").mkdir()
    put(TETRAHEDRON, "assets/t.obj")
    put(BALL, "assets/more.xml")
    more = '<compiler meshdir="assets"/><include file="assets/more.xml"/>'
    model = compile_model(put(XML.replace("<worldbody>", more + MESH.format("t.obj"), 1)), "o")
    assert (model.nmesh, model.ngeom) == (1, 3)


@pytest.mark.parametrize("how", ["up", "absolute", "link", "meshdir", "inner"])
def test_nothing_outside_of_its_folder_is_read(put, tmp_path, how):
    outside = tmp_path / "t.obj"
    outside.write_text(TETRAHEDRON)
    file = {"up": "../t.obj", "absolute": str(outside), "link": "link.obj"}.get(how, "t.obj")
    text = XML.replace("<worldbody>", MESH.format(file), 1)
    if how == "link":
        (put("").parent / "link.obj").symlink_to(outside)
    if how == "meshdir":
        text = text.replace("<asset>", '<compiler meshdir=".."/><asset>')
    path = put(text)
    if how == "inner":
        put(
            f"<mujocoinclude>{MESH.format('../t.obj').split('<worldbody>')[0]}</mujocoinclude>",
            "i.xml",
        )
        path = put(with_more('<include file="i.xml"/>'))
    said = refused(path)
    assert f"leaves the folder {path.parent}; copy it there, or build an MjSpec" in said
    assert ("i.xml:2" if how == "inner" else "arm.xml:3") in said


def test_includes_do_not_leave_or_go_round(put, tmp_path):
    (tmp_path / "out.xml").write_text(BALL)
    assert "<include> leaves the folder" in refused(put(with_more('<include file="../out.xml"/>')))
    assert "arm.xml includes itself" in refused(put(with_more('<include file="arm.xml"/>')))


def test_a_pipe_as_mesh_does_not_hang(put):
    path = put(XML.replace("<worldbody>", MESH.format("pipe.obj"), 1))
    os.mkfifo(path.parent / "pipe.obj")
    assert 'file="pipe.obj" of <mesh> is no regular file' in refused(path)


# What it asks for -----------------------------------------------------------------------

MANY = {
    '<replicate count="1000000"><geom size="1"/></replicate>': "makes 1,000,000 of its content",
    '<replicate count="200"><replicate count="200"><geom size="1"/></replicate></replicate>': (
        "1 bodies and 40,"
    ),
    '<replicate count="5000"><body><geom size="1"/></body></replicate>': "5,001 bodies",
    '<composite type="cable" count="99999 1 1"><geom size="1"/></composite>': "makes 99,999",
    '<flexcomp name="f" type="grid" count="300 300 300"/>': "makes 27,000,000",
}
LARGE = {
    '<asset><hfield name="h" nrow="100000" ncol="100000" size="1 1 1 1"/></asset>': "cells",
    '<asset><texture type="2d" builtin="flat" width="1e6" height="1e6"/></asset>': "cells",
    '<size memory="1000G"/>': "<size> asks for 1,073,741,824,000 bytes",
    '<size nuserdata="100000000"/>': "<size> asks for nuserdata 100000000; at most 1,000,000",
    '<custom><numeric name="n" size="999999999"/></custom>': "<numeric> asks for size 999999999",
}


@pytest.mark.parametrize("more", [*MANY, *LARGE])
def test_what_a_model_asks_for_is_bounded(put, more):
    text = XML.replace("<joint", f"{more}<joint") if more in MANY else with_more(more)
    said = refused(put(text))
    assert (MANY | LARGE)[more] in said
    assert "arm.xml:2: " in said
    assert "at most" in said


def test_included_things_count_as_often_as_they_are_made(put):
    put('<mujocoinclude><geom size=".1"/></mujocoinclude>', "one.xml")
    twice = '<replicate count="6000" offset="1 0 0"><include file="one.xml"/></replicate>'
    assert "elements, with all that is repeated" in refused(
        put(XML.replace("<joint", twice + "<joint"))
    )


# Numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["nan", "NaN", "inf", "-inf"])
@pytest.mark.parametrize("field", ["mass", "pos", "friction"])
def test_numbers_of_mjcf_are_finite(put, field, number):
    value = f"1 {number} 0" if field != "mass" else number
    text = XML.replace('mass="1"', f'{field}="{value}"')
    said = f'{field}="{value}" of <geom> is not finite; expected numbers'
    assert f"{put(text)}:2: {said}" in refused(put(text))
    assert f"MJCF:2: {said}" in refused(text)


@pytest.mark.parametrize(
    ("field", "at", "said"),
    [
        ("body_mass", 1, "body_mass of body 'b' is nan"),
        ("geom_friction", (0, 1), "geom_friction of geom 'g' is nan"),
        ("dof_damping", 0, "dof_damping of joint 'x' is nan"),
        ("qpos0", 0, "qpos0 of joint 'x' is nan"),
        ("jnt_range", (0, 1), "jnt_range of joint 'x' is nan"),
        ("actuator_gainprm", (0, 2), "actuator_gainprm of actuator 'm' is nan"),
        ("geom_rgba", (0, 0), "geom_rgba of geom 'g' is nan"),
    ],
)
def test_every_number_of_a_model_is_checked(field, at, said):
    model = mujoco.MjModel.from_xml_string(XML)
    require_finite(model, "o")
    getattr(model, field)[at] = np.nan
    assert f"{said}; expected a finite number" in refused(model)


def test_options_are_numbers_too():
    model = mujoco.MjModel.from_xml_string(XML)
    model.opt.gravity[2] = np.inf
    assert "opt.gravity of <option> is inf" in refused(model)


def test_unnamed_elements_are_told_by_their_number():
    model = mujoco.MjModel.from_xml_string(XML.replace('name="g" ', ""))
    model.geom_size[0, 0] = np.nan
    assert "geom_size of geom 0 is nan" in refused(model)
