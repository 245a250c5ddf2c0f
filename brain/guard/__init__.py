"""What a reply is held against before a customer sees it."""
