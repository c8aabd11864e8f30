"""The Lambda Runtime API: its routes, and the server that reads them from a socket."""
