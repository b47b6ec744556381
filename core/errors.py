"""The error class meant for people, under the name by which core and studio import it."""

from adapters.common.errors import UserError

__all__ = ["UserError"]
