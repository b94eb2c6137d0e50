"""From a table of patients to a fusion model that was judged, and back."""
