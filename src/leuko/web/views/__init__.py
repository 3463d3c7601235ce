"""What pages, API and terminal show, computed from stored rows alone. One module a noun."""
