"""`metarl perceive` as a user types it: a folder of pictures in, answers out."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from shades import shaded

from metarl import cli
from metarl.perception.backbones import build_backbone
from metarl.perception.classifier import save_classifier
from metarl.runs.listing import list_runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = shaded(tmp_path_factory.mktemp("pictures"), 8, "jpg", (20, 24))
    (root / "light" / "none.png").touch()
    return root


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    words = ["--data", folder, "--out", out, "--size", 16, "--epochs", 4, "--batch-size", 4]
    assert perceive("swap", *words) == 0
    return out


def perceive(*words):
    return cli.main(["perceive", *map(str, words)])


def test_swap_goes_on_and_needs_nothing_again(run, capsys):
    assert perceive("swap", "--out", run, "--resume") == 0
    said = capsys.readouterr().out
    assert "16 pictures: cut to the middle square" in said
    assert "1 left out: 1 is empty (light/none.png)" in said
    assert "12 pictures to learn from, 4 to judge; the kitchen's classifier, shipped" in said
    assert f"perceive predict {run}" in said
    assert perceive("swap", "--out", run, "--resume", "--seed", 3) == 2
    assert "was started with another config; seed: saved 0, given 3" in capsys.readouterr().err


def test_predict_gives_a_table_or_json_lines_and_a_sheet(run, folder, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    assert perceive("predict", run, folder / "dark" / "0.jpg", "--out", sheet) == 0
    assert re.search(r"0\.jpg +(dark|light) +\d", capsys.readouterr().out)
    assert Image.open(sheet).width > 100
    assert perceive("predict", run, folder, "--out", sheet) == 2
    assert "is there already" in capsys.readouterr().err
    assert perceive("predict", run, folder, "--json", "--out", sheet, "--overwrite") == 1
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == 17
    assert rows[-1] == {"file": str(folder / "light" / "none.png"), "error": "is empty"}
    assert all(sum(r["probabilities"].values()) == pytest.approx(1, abs=1e-5) for r in rows[:-1])
    assert "1 left out" in err


def test_embed_writes_features_of_a_backbone_or_a_run(run, folder, tmp_path, capsys):
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    pictures = folder / "dark"
    assert perceive("embed", pictures, "--size", 16, "--out", first) == 0
    assert perceive("embed", pictures, "--run", run, "--out", second) == 0
    found, of_run = (
        np.load(path) for path in (first, second)
    )  # no pickle: NumPy refuses it unasked
    assert found["features"].shape == (8, 176)
    assert [name.rpartition("/")[2] for name in found["files"]] == [f"{i}.jpg" for i in range(8)]
    assert np.array_equal(found["features"], of_run["features"])  # the run's trunk was frozen
    assert "features (8, 176) of the kitchen's classifier, shipped" in capsys.readouterr().out
    assert perceive("embed", pictures, "--run", run, "--backbone", "mobilenet_v2") == 2
    assert "--run brings its own trunk" in capsys.readouterr().err


def test_compare_writes_one_table_one_picture_and_a_page(folder, tmp_path, capsys):
    words = ["--size", 16, "--epochs", 2, "--batch-size", 8, "--out", tmp_path / "c"]
    asked = ["--strategies", "frozen-trunk", "scratch", "kickstart"]
    assert perceive("compare", "--data", folder, *asked, *words) == 0
    said = capsys.readouterr().out
    assert "left out, since they imitate the source's answers: kickstart" in said
    for name in ("frozen-trunk", "scratch"):
        assert re.search(rf"^ *{name} +\d", said, re.MULTILINE)
    page = (tmp_path / "c" / "report.html").read_text()
    for heading in ("Error against time", "Error", "Runs", "Its worst answers"):
        assert f"<h2>{heading}</h2>" in page
    assert (tmp_path / "c" / "error-against-time.png").read_bytes().startswith(b"\x89PNG")
    assert "error of always giving the most usual answer" in page  # what a column is
    listed = {run.folder.name: run.page for run in list_runs(tmp_path)}
    assert listed == dict.fromkeys(("frozen-trunk-s0", "scratch-s0"), Path("c/report.html"))


def test_few_shot_writes_a_table_and_goes_on(tmp_path, capsys):
    pytest.importorskip("learn2learn")
    for number, shade in enumerate(("black", "grey", "white", "red", "green", "blue")):
        (tmp_path / "d" / shade).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (16, 16), shade).save(tmp_path / "d" / shade / f"{i}.png")
            corner = Image.new("RGB", (4, 4), (40 * number, 9 * i, 90))
            picture = Image.open(tmp_path / "d" / shade / f"{i}.png").copy()
            picture.paste(corner)
            picture.save(tmp_path / "d" / shade / f"{i}.png")
    out = tmp_path / "out"
    words = ["few-shot", "--data", tmp_path / "d", "--ways", 2, "--shots", 1, 2, "--queries", 2,
             "--methods", "nearest-centroid", "anil-frozen", "--seeds", 2, "--episodes", 3, "--size", 16,
             "--iterations", 2, "--out", out, "--set", "tasks=1", "updates=1"]  # fmt: skip
    assert perceive(*words) == 0
    said = capsys.readouterr().out
    assert re.search(r"nearest-centroid +1 +\d+\.\d +\d+", said)
    assert re.search(r"anil-frozen +2 +\d+\.\d .* [+-]\d", said)
    assert "2 ways, 3 tasks of unseen classes for each of 2 seeds; chance is 50 %" in said
    page = (out / "report.html").read_text()
    assert page.count("<img ") == 2  # a picture a number of shots
    assert 'alt="Right answers after 2 pictures of each class: nearest-centroid ' in page
    for method in ("nearest-centroid", "anil-frozen"):
        assert f"<dt>{method}</dt>" in page  # explained
    saved = json.loads((out / "few-shot.json").read_text())
    assert [(row["method"], row["shots"]) for row in saved["rows"]] == [
        ("nearest-centroid", 1), ("anil-frozen", 1), ("nearest-centroid", 2), ("anil-frozen", 2),
    ]  # fmt: skip
    times = {path: path.stat().st_mtime_ns for path in out.rglob("result.json")}
    assert len(times) == 8
    assert perceive(*words) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("result.json")} == times
    assert cli.main(["report", str(out / "anil-frozen-2way-1shot-s0")]) == 0
    page = (out / "anil-frozen-2way-1shot-s0" / "report.html").read_text()
    assert "accuracy" in page


def test_advise_ranks_trunks_before_anything_is_trained(run, folder, tmp_path, capsys):
    blind = tmp_path / "blind.safetensors"
    network = build_backbone("small-cnn", 2, torch.Generator())
    for p in network.trunk.parameters():
        p.data.zero_()
    save_classifier(blind, network, backbone="small-cnn", classes=("dark", "light"))
    kitchen = ("--data", "kitchen:doneness", "--num-pictures", 150, "--size", 32)
    words = ("advise", *kitchen, "--trunks", "small-cnn", f"small-cnn={blind}")
    assert perceive(*words) == 0
    said = capsys.readouterr().out
    assert re.search(r"1 +small-cnn .*serves", said)
    assert re.search(r"2 +small-cnn .*worse than", said)
    assert "errs more than features that nobody trained: it would mislead" in said
    assert (
        "take small-cnn: metarl perceive swap --data kitchen:doneness --backbone small-cnn" in said
    )
    assert "pictures say little" not in said
    assert perceive(*words, "--json") == 0
    trunks = json.loads(capsys.readouterr().out)["trunks"]
    assert [one["verdict"] for one in trunks] == ["serves", "worse than untrained"]
    assert perceive("advise", "--data", folder, "--trunks", f"small-cnn={blind}", "--size", 16) == 0
    said = capsys.readouterr().out
    assert "12 pictures say little" in said
    assert f"metarl perceive swap --data {folder} --strategy scratch" in said


def test_a_report_is_written_of_a_run(run, capsys):
    assert cli.main(["report", str(run)]) == 0
    assert "<h2>Confusion</h2>" in (run / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "metarl perceive lacks a command; expected swap, predict, compare, advise"),
        ("swop", "did you mean 'swap'"),
        ("swap", "metarl perceive swap lacks --data"),
        ("swap --data nowhere", "nowhere does not exist"),
        ("swap --data kitchen:colour", "valid: class, doneness"),
        ("swap --data kitchen:doneness --test nowhere", "nowhere does not exist"),
        ("swap --data . --strategy frozen", "did you mean 'frozen-trunk'"),
        ("swap --data . --strategy lp-ft --set head_share=2", "head_share"),
        ("swap --data . --size 4", "size"),
        ("swap --data . --device tpu", "cpu, cuda or cuda:N"),
        ("predict", "lacks RUN_FOLDER"),
        ("predict nowhere .", "holds no .png"),
        ("embed --out x.txt .", "valid: .npz"),
        ("compare", "lacks --data"),
        ("compare --data . --strategies none", "unknown strategy 'none'"),
        ("advise", "lacks --data"),
        ("advise --data nowhere", "nowhere does not exist"),
        ("advise --data . --trunks small-cnn=", "expected NAME, or NAME=WEIGHTS_FILE"),
        ("few-shot", "lacks --data"),
        ("few-shot --data nowhere", "nowhere does not exist"),
        ("few-shot --data kitchen:doneness", "valid: class, ingredients"),
        (
            "few-shot --data kitchen:ingredients --methods protonet",
            "unknown few-shot method 'protonet'",
        ),
        ("few-shot --data kitchen:ingredients --ways 1", "ways"),
        (
            "few-shot --data kitchen:ingredients --shots 0",
            "--shots is (0,); expected integers >= 1",
        ),
        ("few-shot --data kitchen:ingredients --set rate=1", "rate"),
        ("few-shot --data kitchen:ingredients --set shots=3", "give --shots"),
        ("few-shot --data kitchen:ingredients --pictures 9", "too few pictures"),
        ("few-shot --data kitchen:class", "8 classes, of which 5 judge and 3 are left"),
    ],
)
def test_mistakes_are_one_line(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert perceive(*words.split()) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
