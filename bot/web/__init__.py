"""The one web server and the chat page."""
