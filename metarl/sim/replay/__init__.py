"""One world, made fast: what a family does is written down once and replayed as plain Python."""
