"""What `make demo` runs on: an embedded fleet, its customers, and a repository that people commit to."""
