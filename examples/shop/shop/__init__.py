"""A small shop for tea and what goes with it."""
