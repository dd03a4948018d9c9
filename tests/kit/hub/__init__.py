"""A Hub on loopback that the real huggingface_hub and datasets clients talk to, with faults scripted at any request.

    with running() as hub:
        hub.add_user("hf_alice", "alice", orgs={"lab": "write"})
        hub.inject(Fault(method="POST", path="/commit/", landed=True, status=500))
        api = HfApi(endpoint=hub.endpoint, token="hf_alice")
        ...
        assert hub.repo("lab/set").files().keys() == {...}

Clients upload by LFS with ``HF_HUB_DISABLE_XET=1``, else by Xet. `datasets` reads ``HF_ENDPOINT`` when it is imported:
load in a subprocess.
"""

from .access import User
from .faults import Fault
from .revisions import Commit, File
from .server import running
from .state import Hub, Push, Repo
from .wire import HubError, Request

__all__ = ["Commit", "Fault", "File", "Hub", "HubError", "Push", "Repo", "Request", "User", "running"]
