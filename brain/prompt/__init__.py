"""The layers, what is chosen from them for a message, and what fits."""
