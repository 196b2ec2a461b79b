"""A person's own pictures: whatever is done to them or left out is said."""

import csv
import os
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from metarl.errors import CheckpointError, ConfigError, MissingDependencyError
from metarl.perception import photos
from metarl.perception.own import read_own
from metarl.perception.photos import BadPicture, read_picture
from metarl.perception.questions import Classes, describe_question, numbers_of, read_question
from metarl.perception.splits import split, tell_copies, tell_leaks

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 40, 3)).astype(np.uint8)


def save(path, pixels=PIXELS, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **how)
    return path


def painted(shade, size=40):
    return np.full((size, size, 3), shade, np.uint8)


def folder(root, classes=("apple", "pear"), each=4):
    for c, name in enumerate(classes):
        for i in range(each):
            save(root / name / f"{i}.png", painted(20 * i + 110 * c + 5))
    return root


@pytest.mark.parametrize("ending", ["png", "PNG", "jpg", "jpeg", "webp"])
def test_every_format_comes_out_as_it_went_in(tmp_path, ending):
    how = {"lossless": True} if ending == "webp" else {}
    read, notes = read_picture(save(tmp_path / f"a.{ending}", painted(77), **how), 40)
    assert read.dtype == np.uint8
    assert read.shape == (40, 40, 3)
    assert np.abs(read.astype(int) - 77).max() <= 1
    assert notes == []


def test_exif_turns(tmp_path):
    upright = painted(0)
    upright[:20] = 255  # the upper half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    path = tmp_path / "a.png"
    Image.fromarray(np.rot90(upright).copy()).save(path, exif=exif)
    read, notes = read_picture(path, 40)
    assert np.array_equal(read, upright)
    assert notes == ["turned as EXIF says"]


def test_grey_and_alpha_and_depth_are_brought_to_eight_bits_of_colour(tmp_path):
    shade = np.full((40, 40), 120, np.uint8)
    read, notes = read_picture(save(tmp_path / "grey.png", shade), 40)
    assert (read == 120).all()
    assert notes == ["grey"]
    read, notes = read_picture(save(tmp_path / "deep.png", shade.astype(np.uint16) << 8), 40)
    assert (read == 120).all()
    assert set(notes) == {"16 bits cut to 8", "grey"}
    clear = np.zeros((40, 40, 4), np.uint8)
    clear[:20] = (10, 20, 30, 255)
    read, notes = read_picture(save(tmp_path / "alpha.png", clear), 40)
    assert (read[20:] == 255).all()
    assert (read[:20] == (10, 20, 30)).all()
    assert notes == ["transparency laid on white"]
    paletted = Image.fromarray(painted(51)).convert("P")
    paletted.save(tmp_path / "palette.png")
    assert (read_picture(tmp_path / "palette.png", 40)[0] == 51).all()
    Image.fromarray(painted(50)).convert("CMYK").save(tmp_path / "c.jpg")
    read, notes = read_picture(tmp_path / "c.jpg", 40)
    assert np.abs(read.astype(int) - 50).max() <= 2
    assert notes == ["CMYK turned to RGB"]


def test_odd_sizes_are_cut_to_the_middle_square(tmp_path):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200
    read, notes = read_picture(save(tmp_path / "a.png", wide), 40)
    assert (read[:, 4:-4] == 200).all()  # what is left is the middle
    assert set(notes) == {"cut to the middle square", "enlarged to 40 pixels"}
    read, _ = read_picture(save(tmp_path / "thin.png", painted(9)[:1]), 16)
    assert read.shape == (16, 16, 3)


def test_the_first_frame_of_a_film_is_taken_and_said(tmp_path):
    frames = [Image.fromarray(painted(shade)) for shade in (30, 90)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    read, notes = read_picture(tmp_path / "a.webp", 40)
    assert (read == 30).all()
    assert notes == ["only the first frame taken"]


def damage(path, how):
    if how == "is missing":
        return path
    if how == "is empty":
        path.touch()
    elif how == "is no PNG, JPEG or WebP":
        Image.fromarray(PIXELS).save(path, format="GIF")
    elif how == "is damaged":
        path.write_bytes(save(path).read_bytes()[:700])
    elif how == "it is a FIFO":
        os.mkfifo(path)
    return path


@pytest.mark.parametrize(
    "how",
    ["is missing", "is empty", "is no PNG, JPEG or WebP", "is damaged", "it is a FIFO"],
)
def test_what_is_no_picture_is_told(tmp_path, how):
    with pytest.raises(BadPicture, match=how):
        read_picture(damage(tmp_path / "a.png", how), 32)


def bomb(path, width, height):
    """A PNG of a kilobyte that says it is enormous."""
    data = bytearray(save(path, PIXELS[:2, :2]).read_bytes())
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("side", [11_000, 60_000])
def test_giants_are_refused_before_they_are_decoded(tmp_path, side, monkeypatch):
    monkeypatch.setattr(photos, "_square", None)  # would decode
    with pytest.raises(BadPicture, match="pixels"):
        read_picture(bomb(tmp_path / "a.png", side, side), 32)


def test_a_folder_a_class(tmp_path):
    root = folder(tmp_path)
    (root / "apple" / "deep").mkdir()
    save(root / "apple" / "deep" / "z.png", painted(250))
    (root / "apple" / "note.txt").write_text("x")
    (root / "pear" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (root / "pear" / "none.jpg").touch()
    (root / "stray.png").touch()
    (root / "quince").mkdir()
    seen = []
    found = read_own(root, 32, lambda done, total: seen.append((done, total)))
    assert found.columns == ("class",)
    assert found.asks_class
    assert found.pixels.shape == (9, 32, 32, 3)
    assert found.target.tolist() == ["apple"] * 5 + ["pear"] * 4
    assert found.names[4] == os.path.join("apple", "deep", "z.png")
    assert (found.pixels[4] == 250).all()
    assert seen[-1] == (11, 11)
    why = {name: reason for name, reason in found.left_out}
    assert why["stray.png"] == "in no class's folder"
    assert why["quince"] == "a folder without pictures"
    assert why[os.path.join("pear", "none.jpg")] == "is empty"
    assert why[os.path.join("apple", "note.txt")].startswith("no .png")
    assert any(line.startswith("5 left out: ") and "none.jpg" in line for line in found.told)


def table(path, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_a_table_of_numbers(tmp_path):
    folder(tmp_path / "in", each=3)
    path = table(
        tmp_path / "t.csv",
        [["file", "salt", "heat"], ["in/apple/0.png", "1.5", "20"], ["in/pear/1.png", "-2", "1e2"]]
        + [["in/pear/0.png", "x", "1"], ["in/gone.png", "1", "1"], ["in/pear/2.png", "nan", "2"]],
    )
    found = read_own(path, 16)
    assert found.columns == ("salt", "heat")
    assert not found.asks_class
    assert found.target.tolist() == [[1.5, 20.0], [-2.0, 100.0]]
    why = {name: reason for name, reason in found.left_out}
    assert why["in/gone.png"] == "is missing"
    assert why["in/pear/0.png"] == why["in/pear/2.png"] == "without all of its targets as numbers"


def test_a_table_of_words_is_of_classes(tmp_path):
    folder(tmp_path / "in", each=2)
    rows = [["file", "fruit"], ["in/apple/0.png", "apple"], ["in/pear/1.png", "pear"]]
    found = read_own(table(tmp_path / "t.csv", rows), 16)
    assert found.asks_class
    assert found.target.tolist() == ["apple", "pear"]


def test_parquet_is_read_where_pyarrow_is_and_else_one_line_says_so(tmp_path):
    path = tmp_path / "t.parquet"
    folder(tmp_path / "in", each=2)
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        with pytest.raises(MissingDependencyError, match="pip install pyarrow, or save the table"):
            read_own(path, 16)
        return
    rows = {"file": ["in/apple/0.png", "in/pear/1.png"], "salt": [1.0, 2.0]}
    parquet.write_table(pyarrow.table(rows), path)
    assert read_own(path, 16).target.tolist() == [[1.0], [2.0]]
    path.write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="is no Parquet file"):
        read_own(path, 16)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([["name", "salt"], ["a.png", "1"]], "has name, salt; expected columns file,TARGET"),
        ([["file"], ["a.png"]], "expected columns file,TARGET"),
        ([["file", "salt"]], "has no rows"),
        ([["file", "salt"], ["a.png", "1", "2"]], "line 2 has more cells"),
        (
            [["file", "salt", "heat"], ["a.png", "x", "1"]],
            "choose .*t.csv:salt, or numbers, .*:heat",
        ),
        ([["file", "salt"], ["", "1"]], "no row of .* is whole; 1 without a file"),
        ([["file", "salt"], ["a.png", "1"]], "no picture in .* can be read; 1 is missing"),
    ],
)
def test_tables_that_say_too_little_are_told(tmp_path, rows, said):
    with pytest.raises(ConfigError, match=said):
        read_own(table(tmp_path / "t.csv", rows), 16)


def test_what_is_no_data_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"gone does not exist; expected a folder of pictures"):
        read_own(tmp_path / "gone", 16)
    (tmp_path / "a.txt").touch()
    with pytest.raises(ConfigError, match=r"is no folder; expected a folder of pictures, or .csv"):
        read_own(tmp_path / "a.txt", 16)
    with pytest.raises(ConfigError, match="holds no folders; expected a folder a class"):
        read_own(tmp_path, 16)


def test_copies_never_stand_on_both_sides(tmp_path):
    root = folder(tmp_path, each=6)
    for i in range(3):  # the same again, under other names and in another format
        save(root / "apple" / f"copy{i}.webp", painted(20 * i + 5), lossless=True)
    save(root / "pear" / "torn.png", painted(5))
    found = read_own(root, 16)
    for seed in range(8):
        train, test = split(found, 0.3, np.random.default_rng(seed))
        assert sorted((*train.names, *test.names)) == sorted(found.names)
        assert not set(train.hashes()) & set(test.hashes())
        assert set(test.target) == {"apple", "pear"}
        assert tell_leaks(train, test) == []
    told = tell_copies(found)
    assert told[0].startswith("3 pictures are there more than once (apple/0.png = apple/copy0.webp")
    assert told[1].startswith("1 of these with different answers")
    assert tell_leaks(found, found.take([0, 3]))[0].startswith(
        "2 of 2 test pictures are trained on"
    )
    with pytest.raises(ConfigError, match="too few"):
        split(found.take([0]), 0.5, np.random.default_rng(0))


def test_classes_are_judged_by_hand_arithmetic():
    question = Classes(("a", "b"))
    outputs = torch.tensor([[2.0, 0.0], [0.0, 2.0], [3.0, 0.0], [0.0, 0.0]])
    target = torch.tensor([0, 1, 1, 0])
    found = question.judge(outputs, target)
    sure, surer = 1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(-3.0))
    assert found["accuracy"] == 0.75
    assert found["error"] == 0.25
    assert found["nll"] == pytest.approx(
        -(2 * np.log(sure) + np.log(1 - surer) + np.log(0.5)) / 4, abs=1e-6
    )
    gap = (abs(2 * sure - 2) + surer + abs(0.5 - 1)) / 4
    assert found["calibration-error"] == pytest.approx(gap, abs=1e-6)
    assert question.wrong(outputs, target).argmax() == 2
    assert question.constant(torch.tensor([0, 1, 1]), target) == 0.5


def test_numbers_are_learned_in_units_of_their_spread_and_judged_in_their_own():
    target = np.array([[10.0, 0.0], [30.0, 2.0]], np.float32)
    question = numbers_of(("salt", "heat"), target)
    assert question.mean == (20.0, 1.0)
    assert question.std == (10.0, 1.0)
    outputs = torch.tensor([[-1.0, -1.0], [1.0, 2.0]])
    assert question.answers(outputs).tolist() == [[10.0, 0.0], [30.0, 3.0]]
    found = question.judge(outputs, torch.from_numpy(target))
    assert found == {"error": pytest.approx(0.25), "mae salt": 0.0, "mae heat": 0.5}
    assert float(question.loss(outputs, torch.from_numpy(target))) == pytest.approx(0.25)
    with pytest.raises(ConfigError, match="salt is the same on every picture"):
        numbers_of(("salt",), np.ones((3, 1), np.float32))


@pytest.mark.parametrize("question", [Classes(("a", "b")), numbers_of(("x",), np.eye(2)[:, :1])])
def test_questions_are_written_and_read(question):
    saved = describe_question(question)
    assert read_question(saved, "x") == question
    for bad in (None, {}, {**saved, "names": []}, {**saved, "names": [1]}, {**saved, "kind": "x"}):
        with pytest.raises(CheckpointError, match="x holds no question"):
            read_question(bad, "x")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs")
@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_a_table_that_is_no_regular_file_is_refused_at_once(tmp_path, name):
    if name.endswith("parquet"):  # it asks for NumPy 2
        pytest.importorskip("pyarrow", exc_type=ImportError)
    os.mkfifo(tmp_path / name)
    with pytest.raises(CheckpointError, match="it is a FIFO"):
        read_own(tmp_path / name, 8)
