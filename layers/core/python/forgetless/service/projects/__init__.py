"""Projects: a tenant's settings, and its feedback on memories."""
