"""A benchmark as a file: which families, which methods, how often, on which budget."""
