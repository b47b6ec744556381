"""The engine room: data, recipe, plan, base, training, serving."""
