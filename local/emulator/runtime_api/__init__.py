"""The Lambda Runtime API, one file for each route."""
