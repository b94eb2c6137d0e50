"""``python -m aegle`` is the command ``aegle``."""

from aegle.cli import entry

entry()
