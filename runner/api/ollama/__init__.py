"""Ollama's dialect: chats, texts, vectors, what is here and what is loaded."""
