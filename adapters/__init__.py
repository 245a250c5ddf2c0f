"""Channels: each translates native updates into events, and replies into native messages."""
