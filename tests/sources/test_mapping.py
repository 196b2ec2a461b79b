"""What a user says of columns and actions."""

from __future__ import annotations

import pytest

from metarl.errors import ConfigError
from metarl.sources.mapping import Piece, name_of, parse_mapping, pieces_of
from metarl.sources.plan import columns_of

HERE, THERE = {"robot": 5, "object": 3, "task": 2}, {"observation": 9, "task": 0}


@pytest.mark.parametrize(
    ("word", "piece"),
    [
        ("robot=0:5", Piece(0, 0, 5)),
        ("robot=observation[4:9]", Piece(0, 4, 5)),
        ("robot[1:3]=7:9", Piece(1, 7, 2)),
        ("object[2]=observation[8]", Piece(7, 8, 1)),
        ("object[2]=8", Piece(7, 8, 1)),
        ("object=2:5*10", Piece(5, 2, 3, 10.0)),
        ("object=2:5*-0.5", Piece(5, 2, 3, -0.5)),
    ],
)
def test_a_pair_names_places_of_both_sides(word, piece):
    (pair,) = parse_mapping([word])
    assert pieces_of([pair], HERE, THERE) == [piece]
    (again,) = parse_mapping([str(pair)])
    assert again == pair


def test_new_carries_nothing():
    pairs = parse_mapping(["robot=new", "object=0:3"])
    assert pieces_of(pairs, HERE, THERE) == [Piece(5, 0, 3)]


@pytest.mark.parametrize(
    "word",
    [
        "robot", "robot=", "=0:5", "0:5=0:5", "robot=5:0", "robot=3:3", "robot[=1", "robot=0:5*",
        "robot=0:5*0", "robot=0:5*nan", "robot=0:5*inf", "robot=new*2", "action=0:2*2", "robot=-1:2",
        "robot=0:99999999999999999999", "robot==0:5", "robot[0:1]x=0:1", "robot=1e3:2",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_an_example(word):
    with pytest.raises(ConfigError, match=r"cannot read --map .*robot\[8:17\]=8:17\*10"):
        parse_mapping([word])


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["robo=0:5"], "did you mean 'robot'"),
        (["robot=observations[0:5]"], "did you mean 'observation'"),
        (["robot=0:4"], "5 on the left, 4 on the right"),
        (["robot[0:6]=0:6"], "lies outside what the target has"),
        (["robot=5:10"], "lies outside what the source has"),
        (["robot=0:5", "robot[0]=7"], "another pair names these places"),
        (["robot=0:5", "object=4:7"], r"observation\[4:5\] of the source goes to two places"),
    ],
)
def test_what_does_not_fit_is_refused(words, match):
    with pytest.raises(ConfigError, match=match):
        columns_of(parse_mapping(words), THERE, HERE, same=False)


def test_places_have_names_across_blocks():
    assert name_of(0, 5, HERE) == "robot"
    assert name_of(4, 3, HERE) == "robot[4:5] + object[0:2]"


def test_blocks_go_along_by_their_names_where_nothing_is_said():
    there = {"robot": 5, "object": 4, "food": 2, "task": 2}
    pieces, zeroed = columns_of([], there, HERE, same=False)
    assert pieces == [Piece(0, 0, 5)]
    assert "3 numbers where it had 4" in zeroed["object"]
    assert "something else" in zeroed["task"]
    assert zeroed["food"] == "dropped, for nobody observes it here"
    pieces, zeroed = columns_of([], there, HERE, same=True)
    assert Piece(8, 11, 2) in pieces
    said = parse_mapping(["object[0:2]=object[1:3]", "robot=new"])
    pieces, zeroed = columns_of(said, there, HERE, same=True)
    assert pieces == [Piece(5, 6, 2), Piece(8, 11, 2)]
    assert "the mapping says so" in zeroed["robot"]
    assert "object[2:3]" in zeroed
    assert zeroed["object[0, 3] of the source"].startswith("dropped")
