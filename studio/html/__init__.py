"""HTML of the page: templates, numbers as people write them, tables and curves. Imports no other room."""
