"""A Hugging Face Hub on the loopback, with faults to order, for tests and for trying things by hand.

with Hub(root) as hub:                  # root/ORG/REPO/files…; the current commit is what lies there
    hub.order(Fault("cut", after=1_000_000, path="*.gguf", times=2))
    HfApi(endpoint=hub.endpoint).model_info("ORG/REPO", files_metadata=True)

python -m tests.support.hub --root DIR --port 8123 --fault 'cut path=*.gguf after=1000000 times=2'
"""

from tests.support.hub.client import environment, loopback_client
from tests.support.hub.faults import Fault, Kind, parse_fault
from tests.support.hub.server import GRANTED_TOKEN, Hub, Request

__all__ = ["GRANTED_TOKEN", "Fault", "Hub", "Kind", "Request", "environment", "loopback_client", "parse_fault"]
