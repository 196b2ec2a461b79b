"""Meta-Critic Networks: learning from a critic that was trained on many tasks."""
