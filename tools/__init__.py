"""Programs that made something in this repository. The product does not import them."""
