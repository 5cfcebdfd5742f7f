"""Packing a mixture, a series or variants: rows, manifests, specs, pictures and the page; or the recipe of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import orjson

from doit import storage, yamlio
from doit.errors import SpecError
from doit.hub import gates
from doit.hub.answers import GateCheck
from doit.hub.contents import Content, read_content
from doit.hub.dataset_page import answer_of, configs, dataset_page, main_contents, picture_path, title
from doit.hub.licences import licensing
from doit.hub.package import Choices, Package, gather, json_text, licence_account
from doit.hub.paths import public_manifest, public_spec, without_folders
from doit.hub.picture import cross_picture
from doit.hub.wording import counted
from doit.mixtures.manifest import BuiltFile
from doit.mixtures.opening import Opened, open_mixtures
from doit.mixtures.proofs.published import is_recipe


def pack_mixture(folder: Path, repo: str, staging: Path, choices: Choices) -> Package:
    """Read a mixture, a series or variants, and put together what is pushed.

    Args:
        folder: what a build made.
        repo: `owner/name`.
        staging: an empty folder of our own, for what does not lie in `folder` as it is pushed.
        choices: of the person who publishes.

    Raises:
        SpecError: D206 no mixture, or a recipe of one; D207 two configurations of one name.
        StorageError: D102 a file is not what was built, or would name a place on this machine.
    """
    opened = open_mixtures(folder)
    if is_recipe(opened):
        hint = "Build the mixture from it with `doit rebuild`, and publish that."
        raise SpecError("D206", "it is a recipe, which holds no rows.", where=str(folder), hint=hint)
    mask = gates.kinds_to_mask(redact=choices.redact, allow_personal=choices.allow_personal)
    options = {"by_ability": choices.by_ability, "text": not choices.recipe_only}
    contents = [read_content(one, _config(one), staging, mask=mask, **options) for one in opened]
    _distinct(contents, folder)
    rows: Counter[tuple[str, str]] = Counter()
    places: dict[tuple[str, str], list[str]] = {}
    for content in contents:
        rows |= content.licences  # of a series the largest has them all
        places = {**content.places, **places}
    found = licensing(rows)
    kind: Literal["mixture", "recipe"] = "recipe" if choices.recipe_only else "mixture"
    digest = _digest([(content.config, content.digest) for content in contents])
    tag = f"{'recipe' if choices.recipe_only else 'content'}-{digest}"
    reasons = {"accepted": choices.accept_license, "allowed": choices.allow_personal}
    card = dataset_page(contents, found, repo=repo, tag=tag, recipe=choices.recipe_only, **reasons)
    named = configs(contents)
    local = {path: file for splits in named.values() for held in splits.values() for path, file in held.files}
    texts = {"README.md": card, **_texts(contents, folder)}
    read = sum(len(held.files) for content in contents for held in content.splits.values())
    checks = [
        GateCheck(name="files", ok=True, detail=f"{counted(read, 'data file')} of the build, each with its digest."),
        gates.licence_check(found, places, choices.accept_license, recipe=choices.recipe_only),
    ]
    if not choices.recipe_only:
        checks.append(gates.personal_check(contents, mask, choices.allow_personal))
    receipt = {
        "kind": kind,
        "name": title(contents),
        "digest": digest,
        "mixtures": {content.config: _account(content) for content in contents},
        "license": licence_account(found, choices.accept_license),
        "personal_data": {"allowed": choices.allow_personal} if choices.allow_personal else {},
    }
    files, check = gather(local, texts, receipt, staging, folder)
    return Package(
        kind=kind,
        name=title(contents),
        digest=digest,
        tag=tag,
        card=card,
        files=files,
        licensing=found,
        checks=(*checks, check),
        configs={name: {split: held.rows for split, held in splits.items()} for name, splits in named.items()},
    )


def _config(one: Opened) -> str:
    """The name of a mixture's configuration."""
    return (one.label or "default").replace("/", "-")


def _distinct(contents: Sequence[Content], folder: Path) -> None:
    named = [content.config for content in contents]
    named += [f"{c.config}-{ability}" if len(contents) > 1 else ability for c in contents for ability in c.extra]
    for name in named:
        if named.count(name) > 1:
            hint = "Rename a variant of the spec."
            raise SpecError("D207", f'two configurations would be called "{name}".', where=str(folder), hint=hint)


def _digest(digests: Sequence[tuple[str, str]]) -> str:
    """The content digest of one mixture; of several, SHA-256 over their names and digests."""
    if len(digests) == 1:
        return digests[0][1]
    return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in digests).encode()).hexdigest()


def _texts(contents: Sequence[Content], folder: Path) -> dict[str, str]:
    """Manifests, specs and pictures: path in the repository -> text."""
    texts = {}
    for content in contents:
        one = content.mixture
        place = f"{one.label}/" if one.label else ""
        public = public_manifest(one.manifest, _built(content, place))
        texts[f"{place}manifest.json"] = json_text(public.document())
        texts[f"{place}spec.yaml"] = yamlio.dump(public_spec(one.manifest.spec))
    above = {one for content in contents for one in _above(content.mixture)}
    for place in sorted(above):
        document = orjson.loads((folder / place / "manifest.json").read_bytes())
        texts[f"{place}/manifest.json" if place else "manifest.json"] = json_text(without_folders(document))
    for content in main_contents(contents):
        texts[picture_path(content)] = cross_picture(answer_of(content))
    return texts


def _built(content: Content, place: str) -> dict[str, BuiltFile]:
    """The data files of a mixture as they are published; a recipe has none."""
    splits = [*content.splits.values(), *(held for named in content.extra.values() for held in named.values())]
    data = [(path, file) for held in splits for path, file in held.files]
    data = [(path.removeprefix(place), file) for path, file in data]
    return {
        path: BuiltFile(bytes=file.stat().st_size, sha256=storage.file_digest(file))
        for path, file in data
        if path.startswith(("data/", "by_ability/"))
    }


def _above(one: Opened) -> list[str]:
    """The folders above a mixture that have a manifest of their own: of the variants, of the series."""
    if one.label is None:
        return []
    return ["", one.variant] if one.variant and one.size else [""]


def _account(content: Content) -> dict[str, Any]:
    """One mixture in the receipt."""
    label = content.mixture.label
    account: dict[str, Any] = {
        "manifest": f"{label}/manifest.json" if label else "manifest.json",
        "digest": content.mixture.manifest.digest,
        "published_digest": content.digest,
        "rows": {split: held.rows for split, held in content.splits.items()},
    }
    if content.found.rows:
        account["found"] = {"rows": content.found.rows, "kinds": dict(sorted(content.found.kinds.items()))}
        account["found"]["masked_rows"] = content.masked
    return account
