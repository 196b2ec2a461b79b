"""Commands on environments of others, as a user types them."""

import imageio.v3 as iio
from console import here, metarl

CART = "outsiders:outside/cart"
ELSEWHERE = "outsiders:outside/cart-elsewhere"


def test_train_adapt_and_watch(tmp_path):
    run, film = tmp_path / "run", tmp_path / "film.mp4"
    done = metarl("train", ELSEWHERE, "--method", "ppo", "--iterations", 2, "--out", run)
    assert done.returncode == 0, done.stderr
    done = here("train", ELSEWHERE, "--method", "ppo", "--iterations", 3, "--out", run, "--resume")
    assert done.returncode == 0, done.stderr
    done = here("watch", ELSEWHERE, "--policy", run, "--grid", "1x2", "--out", film, "--no-live")
    assert done.returncode == 0, done.stderr
    assert iio.imread(film).std() > 5
    done = here(
        "adapt", run, CART, "--strategy", "fine-tune", "--num-tasks", 2, "--updates", 1,
        "--out", tmp_path / "adapted",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "adapted" / "report.html").exists()


def test_check(tmp_path):
    done = here("check", ELSEWHERE)
    assert done.returncode == 0, done.stdout
    assert "not MuJoCo models" in done.stdout


def test_the_page_is_of_models(tmp_path):
    done = here("watch", CART, "--policy", "expert", "--web")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
