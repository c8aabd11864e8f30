"""Routes of the Platform: one file for each subject, which ends with the table of its paths."""
