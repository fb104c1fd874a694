"""Small deliberate breakages of the code, to see which of them the tests catch: `python -m tools.breakages`."""
