"""Meta-learning and robot skill transfer on batched MuJoCo task families."""
