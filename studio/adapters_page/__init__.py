"""The Adapters tab: cards, import, merge, and the Hub."""
