"""A chat completion server without a model, for demos and tests; a few fixed rules extract the facts."""
