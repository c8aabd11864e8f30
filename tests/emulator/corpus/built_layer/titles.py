"""A module of a layer that sam build would put under python/."""
