"""The running application: everything around the conversation."""
