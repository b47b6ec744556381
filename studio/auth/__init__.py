"""Who is asking, and what that person may do: one middleware before every request."""
