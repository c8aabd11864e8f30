"""Reading a SAM template: YAML, intrinsic functions, and the plain model the emulator runs."""
