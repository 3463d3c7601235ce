"""What `make demo` runs on: an embedded fleet, its customers, and a repository with people who commit to it."""
