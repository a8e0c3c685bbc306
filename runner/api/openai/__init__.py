"""OpenAI's dialect: models, chats, responses, texts, vectors."""
