"""The Data tab: choose a dataset, see what was understood, and what is trained of it."""
