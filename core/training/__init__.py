"""One run of training: a folder, a background process, and the events between it and whoever looks on."""
