"""What the built-in base knows, one topic per file: a plain table of facts, and the ways to ask for them."""
