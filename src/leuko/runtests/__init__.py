"""RunTests: a developer's own tests, in the developer's own browser."""
