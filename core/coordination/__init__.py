"""Chat and training on one machine: who goes first, and who makes room."""
