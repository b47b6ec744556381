"""Keeps a home folder elsewhere too, in a mounted bucket or a private repository, where the disk does not last."""
