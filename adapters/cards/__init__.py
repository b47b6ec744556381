"""What an adapter's repository shows to a stranger: its model card, and its loss curves as a picture."""
