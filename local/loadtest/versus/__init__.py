"""Side by side: another server of the same dialect and Forgetless, driven alternately in one run."""
