"""A loaded 4-bit base as one flat file that any number of processes map, so that memory holds it once."""
