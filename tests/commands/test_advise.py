"""`metarl advise` as a user runs it."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
import zipfile

import pytest
from directions import taught

from metarl import cli
from metarl.advise.model import load_model

FEW = ["--episodes", "8"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    return {name: taught(f"toy/{name}", folder / name) for name in ("right", "left")}


def test_the_page_says_what_to_do_and_shows_every_option(sources, tmp_path, capsys):
    out = tmp_path / "advice.html"
    right, left = (str(path) for path in sources.values())
    assert cli.main(["advise", right, left, "toy/right", *FEW, "--out", str(out)]) == 0
    assert f"wrote {out}" in capsys.readouterr().err
    page = out.read_text()
    assert "What helps with toy/right?" in page
    assert f"{right}: reuse it" in page
    assert page.count("<tr>") >= 2 * len(load_model().arms) + 2
    assert 'src="data:image/png;base64,' in page
    assert "Predicted gain of" in page  # what the picture shows, in words
    assert page.count("Seen of ") == 4  # two sections, and their place in the contents
    assert "http" not in page.replace("http-equiv", "")


def test_it_prints_a_table_and_what_to_do(sources, tmp_path, capsys):
    out = tmp_path / "advice.json"
    right, left = (str(path) for path in sources.values())
    folder = str(sources["left"].parents[1])
    assert cli.main(["advise", right, folder, "toy/right", *FEW, "--out", str(out)]) == 0
    said, err = capsys.readouterr()
    table = [line.split() for line in said.splitlines() if line[:2].strip().isdigit()]
    arms = load_model().arms
    assert [int(row[0]) for row in table] == list(range(1, 2 * len(arms) + 2))
    assert sum("scratch" in row for row in table) == 1
    best = next(line for line in said.splitlines() if line.startswith("Best: "))
    assert best.startswith(
        f"Best: reuse {right}. metarl train toy/right --method ppo --from {right}"
    )
    words = [*best.split()[4:], "--iterations", "1", "--out", str(tmp_path / "run")]
    words += ["--set", "num_worlds=8", "minibatch=160"]
    assert cli.main(words) == 0  # what it says can be typed
    capsys.readouterr()
    assert f"{right}: reuse it" in said
    assert "measured transfers between" in said
    assert f"wrote {out}" in err
    saved = json.loads(out.read_text())
    assert saved["target"] == "toy/right"
    assert saved["made-with"]["command"]
    assert [one["source"] for one in saved["evidence"]] == [right, folder]
    assert {o["strategy"] for o in saved["options"]} == {arm.strategy for arm in arms}
    assert left  # a run folder stands for its newest checkpoint


def test_json_is_all_that_is_printed(sources, capsys):
    assert cli.main(["advise", str(sources["right"]), "toy/left", *FEW, "--json"]) == 0
    saved = json.loads(capsys.readouterr().out)
    assert saved["target"] == "toy/left"
    gains = [option["prediction"]["gain"] for option in saved["options"]]
    assert gains == sorted(gains, reverse=True)
    whole = next(o for o in saved["options"] if o["strategy"] == "fine-tune")
    assert whole["prediction"]["gain"] < 0
    assert whole["verdict"] == "start from scratch"


def test_one_seed_one_output(sources, capsys):
    words = ["advise", str(sources["right"]), "toy/left", *FEW, "--json"]
    found = []
    for seed in ("0", "0", "1"):
        assert cli.main([*words, "--seed", seed]) == 0
        saved = json.loads(capsys.readouterr().out)
        found.append([one["signals"] for one in saved["evidence"]])
    assert found[0] == found[1] != found[2]


MISTAKES = [
    ("advise", "lacks SOURCE... TARGET"),
    ("advise toy/reach", "got one word, toy/reach; expected SOURCE... TARGET"),
    ("advise nowhere toy/rech", "did you mean 'toy/reach'"),
    ("advise nowhere toy/reach", "no checkpoint nowhere"),
    ("advise season-perl kitchen/season", "season-pearl"),
    ("advise season-ppo season-ppo kitchen/season", "season-ppo stands there twice"),
    ("advise season-ppo reference kitchen/season", "stands there twice, also as season-ppo"),
    ("advise season-ppo kitchen/season --episodes 1", "--episodes is 1; expected an integer >= 2"),
    ("advise season-ppo kitchen/season --out x.txt", ".json"),
    ("advise season-ppo kitchen/season --jsn", "did you mean '--json'"),
]


@pytest.mark.parametrize(("words", "says"), MISTAKES, ids=[words for words, _ in MISTAKES])
def test_a_mistake_is_one_line_and_nothing_is_written(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(words.split()) == 2
    out, err = capsys.readouterr()
    assert err.startswith("metarl: ")
    assert err.count("\n") == 1
    assert says in err
    assert (out, list(tmp_path.iterdir())) == ("", [])


def test_an_empty_target_is_said(capsys):
    assert cli.main(["advise", "season-ppo", ""]) == 2
    assert "SOURCE... TARGET is empty" in capsys.readouterr().err


def test_a_mistake_is_told_before_torch_is_loaded():
    code = (
        "import sys; from metarl import cli;"
        "assert cli.main(['advise', 'nowhere', 'kitchen/season']) == 2;"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Bomb:
    def __reduce__(self):
        return (open, ("bombed", "w"))


def write_pickle(path):
    path.write_bytes(pickle.dumps(Bomb()))


def write_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(Bomb()))


def write_torch(path):
    import torch

    buffer = io.BytesIO()
    torch.save({"x": Bomb()}, buffer)
    path.write_bytes(buffer.getvalue())


@pytest.mark.parametrize("write", [write_pickle, write_zip, write_torch])
def test_a_pickle_is_refused_and_nothing_in_it_is_run(write, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "bomb.zip")
    assert cli.main(["advise", "bomb.zip", "toy/right", *FEW]) == 2
    err = capsys.readouterr().err
    assert err.startswith("metarl: ")
    assert err.count("\n") == 1
    assert "bomb.zip" in err
    assert [path.name for path in tmp_path.iterdir()] == ["bomb.zip"]


def test_a_file_that_is_there_is_replaced_only_if_asked(sources, tmp_path, capsys):
    out = tmp_path / "advice.json"
    out.write_text("mine")
    words = ["advise", str(sources["right"]), "toy/right", *FEW, "--out", str(out)]
    assert cli.main(words) == 2
    assert "is there already" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert cli.main([*words, "--overwrite"]) == 0
    assert json.loads(out.read_text())["target"] == "toy/right"
