"""What a run is to do: its settings, their checks, and the same in TRL's own config."""
