"""Telegram: long polling or webhook, private chats, groups and topics. Importing the channel imports python-telegram-bot."""
