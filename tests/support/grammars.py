"""What llama.cpp knows of grammars, asked in this process."""

from runner.engine import llama


class Grammars:
    """As a service answers."""

    def grammar_of_schema(self, schema: str) -> str:
        """GBNF of a JSON schema."""
        return llama.grammar_of_schema(schema)

    def understood(self, gbnf: str) -> str:
        """The same, or UsageError."""
        return llama.understood(gbnf)
