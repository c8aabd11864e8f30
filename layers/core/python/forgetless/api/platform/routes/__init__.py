"""Routes of the Platform's dialect, a module for each subject."""
