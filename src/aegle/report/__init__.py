"""What people read: HTML, PDF, FHIR."""
