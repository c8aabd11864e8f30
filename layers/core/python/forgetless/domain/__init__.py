"""The domain: plain data and pure functions; imports nothing but the standard library and PyStemmer."""
