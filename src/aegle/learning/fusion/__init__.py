"""Models of what several sources say of a patient: table, laboratory, image features."""
