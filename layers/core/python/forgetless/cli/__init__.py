"""The commands of an operator; each module holds one, or what several share."""
