"""The commands beside running a model: each is the module of its name here, imported when it is asked for.

Such a module has `run(options, output) -> ExitCode`.
"""

COMMANDS = (
    *("plan", "pull", "list", "search", "show", "rm", "bench", "tune", "doctor", "worker", "serve", "paths"),
    *("ps", "stop", "embed", "rerank", "conversation", "prompt", "completion"),
)
