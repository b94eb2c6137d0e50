"""Laboratory values: units converted and checked, what cannot be used kept with its reason."""
