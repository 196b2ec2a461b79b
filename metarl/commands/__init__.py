"""What each command does; `metarl.cli` only reads the command line."""
