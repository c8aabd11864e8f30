"""What both functions share, as a layer."""

import os


def titled(text):
    """Return a text with the project's title."""
    return f"{os.environ['TITLE']}: {text}"
