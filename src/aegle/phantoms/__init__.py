"""Made patients, known exactly."""
