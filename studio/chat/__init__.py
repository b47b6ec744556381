"""The Chat tab: columns, the composer, answers side by side, and conversations that are kept."""
