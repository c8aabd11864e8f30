"""The load test of the reference system, run against this service, with a report."""
