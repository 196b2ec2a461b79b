"""Several runs on one page: seeds are a band, what differs is named, and bad folders are told."""

from __future__ import annotations

import json

import numpy as np
import pytest

from metarl import cli
from metarl.errors import ConfigError
from metarl.report.several import several_report


def run_folder(path, *, seed=0, rate=1e-3, method="ppo", ends=0.5, steps=100, done=True, noise=0):
    path.mkdir(parents=True)
    config = {
        "class": "metarl.rl.config.PpoConfig", "seed": seed, "noise": noise, "learning_rate": rate,
        "made-with": {"command": f"metarl train toy/reach --method {method} --seed {seed}"},
    }  # fmt: skip
    (path / "config.json").write_text(json.dumps(config))
    rows = [
        {"step": i + 1, "time_s": i, "success": ends * i / 19, "loss": 1.0, "num_steps": steps * i}
        for i in range(20)
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if done:
        (path / "result.json").write_text(json.dumps({"seconds": 60.0 + seed}))
    return path


def text_of(report, path):
    return report.write(path).read_text()


def test_seeds_are_one_row_and_settings_are_told_apart(tmp_path):
    folders = [run_folder(tmp_path / f"a{s}", seed=s, ends=0.5 + 0.1 * s) for s in range(3)]
    folders += [run_folder(tmp_path / "fast", rate=1e-2, done=False)]
    folders += [run_folder(tmp_path / "maml", method="maml", steps=70)]
    page = text_of(several_report(folders), tmp_path / "page.html")
    assert "ppo toy/reach, learning_rate=0.001" in page
    assert "ppo toy/reach, learning_rate=0.01" in page
    ends = [np.mean([e * 18 / 19, e]) for e in (0.5, 0.6, 0.7)]
    reach = 4.302652729911275 * np.std(ends, ddof=1) / np.sqrt(3)
    low, high = np.mean(ends) - reach, np.mean(ends) + reach
    assert f"{np.mean(ends):.3g} [{low:.3g}, {high:.3g}]" in page
    assert "not finished" in page
    assert "success while training" not in page  # a picture, not text
    assert page.count("<img") == 1
    assert "success over control steps, from first to last: ppo toy/reach" in page


def test_a_run_that_is_there_twice_makes_no_band(tmp_path):
    folders = [run_folder(tmp_path / "a", ends=0.5), run_folder(tmp_path / "b", ends=0.7)]
    page = text_of(several_report(folders), tmp_path / "page.html")
    assert "b has the settings and the seed of a." in page
    assert f"{np.mean([0.5 * 18 / 19, 0.5]):.3g}</td>" in page  # the first one's end, no interval


def test_success_after_each_update_is_one_picture_of_all(tmp_path):
    folders = [run_folder(tmp_path / f"a{s}", method="maml", seed=s) for s in range(2)]
    for seed, folder in enumerate(folders):
        rows = [
            {"step": i, **{f"success_{u}": 0.1 * seed + 0.2 * u for u in range(4)}}
            for i in range(1, 4)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = text_of(several_report(folders), tmp_path / "page.html")
    assert page.count("<img") == 1
    assert "Success after each update. maml toy/reach: 5% before, 65% after" in page
    assert "success_2" not in page


def test_other_noise_is_the_same_group(tmp_path):
    folders = [run_folder(tmp_path / "a"), run_folder(tmp_path / "b", noise=1)]
    page = text_of(several_report(folders), tmp_path / "page.html")
    assert "What differs" not in page
    assert "0, noise 1" in page


def test_what_is_no_run_is_told(tmp_path):
    one = run_folder(tmp_path / "a")
    for bad in ([one], [one, one], [one, tmp_path / "a" / ".." / "a"]):
        with pytest.raises(ConfigError, match="two run folders or more, each once"):
            several_report(bad)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"empty has no config.json"):
        several_report([one, tmp_path / "empty"])


def test_runs_without_metrics_or_with_nothing_in_common_have_a_page(tmp_path):
    one, other = run_folder(tmp_path / "a"), run_folder(tmp_path / "b", rate=1.0)
    (other / "metrics.jsonl").unlink()
    assert "learning_rate=1.0" in text_of(several_report([one, other]), tmp_path / "p.html")


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_folder(tmp_path / "a")
    run_folder(tmp_path / "b", seed=1)
    assert cli.main(["report", "a", "b"]) == 0
    assert cli.main(["report", "a", "b"]) == 0
    assert "wrote runs.html\nwrote runs-2.html\n" in capsys.readouterr().out
    assert cli.main(["report"]) != 0
    assert "lacks RUN_FOLDER" in capsys.readouterr().err
