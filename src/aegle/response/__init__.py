"""Whether the treatment worked."""
