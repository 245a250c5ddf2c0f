"""Schema changes, run when a database is opened."""
