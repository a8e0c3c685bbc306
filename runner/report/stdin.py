"""What is said about stdin while it is read. Pure; it imports nothing, for no engine has been started yet."""

REST_OF_STDIN = "The rest of stdin, a file that was begun, goes before the prompt; in a loop, --no-stdin leaves it."


def waiting_for_stdin(*, is_asked: bool) -> str:
    """Stdin is open and silent; `is_asked`: there is a prompt beside it."""
    if is_asked:
        return "Waiting for stdin, which is open and silent: --no-stdin or </dev/null answers without it."
    return "Waiting for a prompt on stdin, which is open and silent."
