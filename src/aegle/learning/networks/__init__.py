"""Network architectures; each function returns a torch module."""
