"""The load test of the reference system against a running service, with a report to look at."""
