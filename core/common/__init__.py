"""The home folder, processes, records on disk, and secrets kept out of logs."""
