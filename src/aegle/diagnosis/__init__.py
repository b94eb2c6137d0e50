"""What findings may mean, by published rules."""
