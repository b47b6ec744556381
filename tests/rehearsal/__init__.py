"""The trainer and the engine at full size on a card that is not there: see tests/rehearsal/card.py."""
