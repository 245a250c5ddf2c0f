"""The channels of the configuration, made and connected."""
