"""How the built-in base and the bundled samples were made, and how well the base answers."""
