"""The web server itself: one per home folder, its addresses, and bodies of bounded length."""
