"""The conversation itself: knows no channel, no server and no database."""
