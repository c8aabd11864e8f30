"""What the service needs of the world, as Protocols: one small file a port; adapters fulfil them."""
