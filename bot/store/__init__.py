"""The database: inbox, outbox, sessions, turns, vectors and feedback."""
