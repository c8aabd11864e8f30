"""The ports: what the service needs from outside, as Protocols that adapters implement. One file per port."""
