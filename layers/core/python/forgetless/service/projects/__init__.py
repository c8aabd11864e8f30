"""Projects: what a tenant has set for itself, and its feedback on memories."""
