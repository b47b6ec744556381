"""What everything rests on: errors for people, whole files, damaged files, YAML from strangers."""
