"""Run, emulate and load the service on one machine."""
