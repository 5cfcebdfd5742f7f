"""Packing a run: the weights, what goes with them, and the page."""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson

from doit import storage, yamlio
from doit.errors import StorageError
from doit.hub import gates
from doit.hub.answers import GateCheck
from doit.hub.licences import Licensing, licensing
from doit.hub.model_page import model_page
from doit.hub.package import Choices, Package, gather, json_text, licence_account
from doit.hub.paths import without_folders
from doit.hub.run_folder import ADAPTER, BASE, Run, read_run, run_files
from doit.hub.wording import counted


def pack_run(folder: Path, repo: str, staging: Path, choices: Choices) -> Package:
    """Put together what is pushed of a run: the weights, what goes with them, and a page.

    Raises:
        SpecError: D206 no `run.json` or no weights in safetensors; D204 an option that is for mixtures.
        StorageError: D102 a file cannot be read, or would name a place on this machine.
    """
    run = read_run(folder)
    stated = run.model.license if choices.base_license is None else choices.base_license
    base = run.model.model_copy(update={"name": without_folders(run.model.name), "license": stated})
    run = run.model_copy(update={"model": base})
    local = run_files(folder)
    adapter = ADAPTER in local
    found, check = _run_licence(run, choices.accept_license, adapter=adapter)
    weights = [(path, storage.file_digest(file)) for path, file in local.items() if path.endswith(".safetensors")]
    digest = hashlib.sha256("".join(f"{path} {sha256}\n" for path, sha256 in sorted(weights)).encode()).hexdigest()
    tag = f"model-{digest}"
    card = model_page(
        run,
        found,
        repo=repo,
        tag=tag,
        adapter=adapter,
        own_base=f"{BASE}/config.json" in local,
        tokenizer="tokenizer_config.json" in local,
        mixture=choices.mixture,
        accepted=choices.accept_license,
    )
    texts = {path: text for path, file in local.items() for text in [_public_text(path, file, run)] if text is not None}
    local = {path: file for path, file in local.items() if path not in texts}
    texts["README.md"] = card
    texts["run.json"] = json_text(without_folders(orjson.loads((folder / "run.json").read_bytes())))
    if run.spec:
        texts["trainer.yaml"] = yamlio.dump(without_folders(run.spec))
    receipt = {
        "kind": "model",
        "name": run.name,
        "digest": digest,
        "mixture": {"digest": run.mixture.digest, "repository": choices.mixture},
        "license": licence_account(found, choices.accept_license),
    }
    checks = [
        GateCheck(name="files", ok=True, detail=f"{counted(len(weights), 'file')} of weights in safetensors."),
        check,
    ]
    files, paths = gather(local, texts, receipt, staging, folder)
    return Package("model", run.name, digest, tag, card, files, found, (*checks, paths), {})


def _run_licence(run: Run, accepted: str | None, *, adapter: bool) -> tuple[Licensing, GateCheck]:
    """The licence of the weights. Data are not passed on with them; a base is, unless only an adapter is published.

    A base whose weights the run drew itself is nobody else's, and asks nothing where no licence is stated for it.
    """
    drawn = isinstance(run.spec.get("model"), dict) and run.model.license == "unknown"
    rows = {} if drawn else {(f"base {run.model.name}", run.model.license): 0}
    rows |= dict.fromkeys((run.licenses or {"the mixture": "unknown"}).items(), 0)
    found = licensing(rows)
    if drawn:
        said = "The weights of the base were drawn for this run, and nobody else's terms are on them."
        found = found.model_copy(update={"reasons": (said, *found.reasons)})
    base = [one for one in found.refused if one.source.startswith("base ")]
    passed_on = found.model_copy(update={"refused": () if adapter else tuple(base)})
    check = gates.licence_check(passed_on, {}, accepted)
    if found.refused and check.ok and not accepted:
        named = "; ".join(f"{one.source} ({one.license}): {one.why}" for one in found.refused)
        detail = f"{check.detail} The weights do not pass these on themselves: {named}."
        check = check.model_copy(update={"detail": detail})
    return found, check


def _public_text(path: str, file: Path, run: Run) -> str | None:
    """A configuration without folders of this machine, an adapter's with its base's repository; None of other files.

    Raises:
        StorageError: D102 it is not JSON.
    """
    if not path.endswith("config.json"):
        return None
    try:
        value = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise StorageError("D102", f"it cannot be read: {error}.", where=str(file), hint="Train again.") from None
    public = without_folders(value)
    if path == "adapter_config.json" and isinstance(public, dict) and run.model.repository:
        public["base_model_name_or_path"] = run.model.repository
    return file.read_text(encoding="utf-8") if public == value else json_text(public)
