"""Wire models: the bodies of mem0's self-hosted dialect; unknown fields are ignored, as mem0 does."""
