"""The page in a real browser, over real processes: web, engine, trainer, and a small Hub."""
