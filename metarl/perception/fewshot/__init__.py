"""Few-shot classification: classes that nobody has seen, told apart after a few pictures of each."""
