"""The HTTP API: from a request to an event of payload 2.0, and from a result to a response."""
