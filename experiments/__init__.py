"""One script, one figure or table; README.md lists them with commands and minutes."""
