"""`make up`: starts every part of the service on one machine, watches the parts, and stops them all."""
