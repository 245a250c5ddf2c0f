"""Signed HTTP requests of CRMs and home-made clients."""
