"""What people and clients touch: the page, the API, the command line."""
