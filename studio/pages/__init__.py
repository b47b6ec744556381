"""The page's tabs, one file each: `build(studio)` lays a tab out and wires its events to plain functions."""
