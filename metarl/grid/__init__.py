"""A benchmark, run cell by cell: each one a file, none of them run twice."""
