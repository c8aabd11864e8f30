"""A chat completion server without a model, for demos, tests and load: facts by a few fixed rules."""
