"""Anthropic's dialect: messages, their tokens, models."""
