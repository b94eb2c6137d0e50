"""Pure array algorithms on volumes and masks."""
