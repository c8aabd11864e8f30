"""moto beside the emulator: the services that the emulator has not, with what the template makes of them."""
