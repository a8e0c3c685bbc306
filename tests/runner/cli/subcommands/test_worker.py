"""`localrun worker`: who may reach it."""

import pytest

from models.errors import UsageError
from runner.cli.options import Options, parse
from runner.cli.output import Output
from runner.cli.subcommands.worker import run


def options(*words: str) -> Options:
    return parse(("worker", *words), {}, {})


@pytest.mark.parametrize("endpoint", ["0.0.0.0:50052", "192.168.1.5:7000", "tower:50052", "[::]:50052"])
def test_where_others_reach_it_both_sides_of_the_tunnel_are_told(endpoint: str) -> None:
    port = endpoint.rpartition(":")[2]
    with pytest.raises(UsageError) as told:
        run(options("--listen", endpoint), Output())
    said = str(told.value)
    assert told.value.exit_code == 2
    assert "--rpc ssh:USER@THIS-HOST" in said and "--i-trust-this-network" in said
    assert f"ssh -N -L {port}:127.0.0.1:{port} USER@THIS-HOST" in said and f"--rpc 127.0.0.1:{port}" in said


@pytest.mark.parametrize("endpoint", ["host", ":1", "127.0.0.1:x", "127.0.0.1:70000"])
def test_what_is_no_address(endpoint: str) -> None:
    with pytest.raises(UsageError, match="--listen wants host:port"):
        run(options("--listen", endpoint), Output())


def test_its_flags() -> None:
    asked = options("--memory", "12g", "--cache", "--i-trust-this-network", "--devices", "CUDA0,CPU")
    assert (asked.memory, asked.cache, asked.i_trust_this_network) == (12 << 30, True, True)
    assert asked.wish.devices == ("CUDA0", "CPU")
