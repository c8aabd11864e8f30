"""The use cases: what Forgetless does with memories, in terms of domain and ports alone."""
