"""The use cases: what Forgetless does with memories. They depend only on domain and ports."""
