"""What the studio is made of, without a page: data, models, recipes, plans, training, serving."""
