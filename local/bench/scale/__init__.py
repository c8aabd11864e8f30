"""What the service costs at different sizes: make bench-scale."""
