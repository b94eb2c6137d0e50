"""Run stages over one patient."""
