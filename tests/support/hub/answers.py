"""The JSON that the Hub's API gives about repositories."""

from typing import Any

from tests.support.hub.store import Blob, Repo, Store

MOMENT = "2026-01-01T00:00:00.000Z"


def model(repo: Repo, *, blobs: bool) -> dict[str, Any]:
    """`GET /api/models/ORG/REPO[/revision/R]`; sizes and digests of the files only with `?blobs=true`."""
    licence = repo.settings.get("license")
    tags = [*repo.settings.get("tags", ["gguf"]), *([f"license:{licence}"] if licence else [])]
    return {
        "_id": repo.commit[:24],
        "id": repo.name,
        "modelId": repo.name,
        "author": repo.name.split("/")[0],
        "sha": repo.commit,
        "lastModified": MOMENT,
        "createdAt": MOMENT,
        "private": False,
        "disabled": False,
        "gated": repo.settings.get("gated", False),
        "downloads": repo.settings.get("downloads", 0),
        "likes": 0,
        "tags": tags,
        "cardData": {"license": licence} if licence else {},
        "siblings": [_sibling(blob) if blobs else {"rfilename": blob.name} for blob in repo.blobs],
    }


def tree(repo: Repo, folder: str, *, recursive: bool) -> list[dict[str, Any]]:
    """`GET /api/models/ORG/REPO/tree/R[/FOLDER]`."""
    prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
    inside = [(blob, blob.name.removeprefix(prefix)) for blob in repo.blobs if blob.name.startswith(prefix)]
    files = [_leaf(blob) for blob, rest in inside if recursive or "/" not in rest]
    folders = sorted({prefix + rest.split("/")[0] for _, rest in inside if "/" in rest})
    return files + [{"type": "directory", "oid": "0" * 40, "size": 0, "path": path} for path in folders]


def search(store: Store, query: dict[str, list[str]]) -> list[dict[str, Any]]:
    """`GET /api/models?search=…&filter=gguf&author=…&sort=downloads&limit=…`."""
    wanted = query.get("search", [""])[0].lower().split()
    found = []
    for name in store.names():
        repo = store.repo(name)
        if repo is None or not all(word in name.lower() for word in wanted):
            continue
        entry = model(repo, blobs=False)
        entry["tags"] = sorted({*entry["tags"], *(["gguf"] if _has_gguf(repo) else [])})
        if set(query.get("filter", [])) <= set(entry["tags"]) and query.get("author", [None])[0] in (
            None,
            entry["author"],
        ):
            found.append(entry)
    if "downloads" in query.get("sort", []):
        found.sort(key=lambda entry: -int(entry["downloads"]))
    found = found[: int(query.get("limit", ["1000"])[0])]
    drop = () if "full" in query else ("siblings", "sha", "cardData")
    return [{key: value for key, value in entry.items() if key not in drop} for entry in found]


def _has_gguf(repo: Repo) -> bool:
    return any(blob.name.endswith(".gguf") for blob in repo.blobs)


def _sibling(blob: Blob) -> dict[str, Any]:
    entry: dict[str, Any] = {"rfilename": blob.name, "size": blob.bytes, "blobId": blob.etag[:40]}
    if blob.is_lfs:
        entry["lfs"] = {"sha256": blob.etag, "size": blob.bytes, "pointerSize": 135}
    return entry


def _leaf(blob: Blob) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": blob.etag[:40], "size": blob.bytes, "path": blob.name}
    if blob.is_lfs:
        entry["lfs"] = {"oid": blob.etag, "size": blob.bytes, "pointerSize": 135}
    return entry
