"""What follows from several licences: the table of combinations, and the rules behind it."""

from __future__ import annotations

import itertools

import pytest

from doit.hub.licences import REFUSED, alternatives, fits, licence, licensing

REFUSES = "refused"

TABLE: list[tuple[tuple[str, ...], str]] = [
    (("MIT",), "MIT"),
    (("Apache-2.0",), "Apache-2.0"),
    (("CC0-1.0",), "CC0-1.0"),
    (("CC-BY-NC-4.0",), "CC-BY-NC-4.0"),
    (("CC-BY-NC-SA-4.0",), "CC-BY-NC-SA-4.0"),
    (("GPL-3.0-only",), "GPL-3.0-only"),
    (("ODC-By-1.0",), "ODC-By-1.0"),
    (("llama3",), "llama3"),
    (("MIT", "mit"), "MIT"),
    (("CC0-1.0", "Unlicense"), "Unlicense"),
    (("CC0-1.0", "MIT"), "MIT"),
    (("CC0-1.0", "CC-BY-SA-4.0"), "CC-BY-SA-4.0"),
    (("MIT", "BSD-3-Clause"), "BSD-3-Clause"),
    (("MIT", "Apache-2.0"), "Apache-2.0"),
    (("MIT", "Apache-2.0", "CC-BY-4.0"), "CC-BY-4.0"),
    (("MIT", "CC-BY-SA-4.0"), "CC-BY-SA-4.0"),
    (("MIT", "GPL-3.0-only"), "GPL-3.0-only"),
    (("MIT", "CC-BY-NC-4.0"), "CC-BY-NC-4.0"),
    (("MIT", "ODC-By-1.0"), "ODC-By-1.0"),
    (("MIT", "gemma"), "gemma"),
    (("Apache-2.0", "GPL-3.0-only"), "GPL-3.0-only"),
    (("Apache-2.0", "GPL-2.0-only"), "other"),
    (("Apache-2.0", "CC-BY-4.0"), "CC-BY-4.0"),
    (("Apache-2.0", "CC-BY-NC-4.0"), "CC-BY-NC-4.0"),
    (("Apache-2.0", "CC-BY-SA-4.0"), "other"),
    (("CC-BY-3.0", "CC-BY-4.0"), "CC-BY-4.0"),
    (("CC-BY-4.0", "CC-BY-SA-4.0"), "CC-BY-SA-4.0"),
    (("CC-BY-3.0", "CC-BY-SA-4.0"), "CC-BY-SA-4.0"),
    (("CC-BY-4.0", "CC-BY-SA-3.0"), "other"),
    (("CC-BY-4.0", "CC-BY-NC-4.0"), "CC-BY-NC-4.0"),
    (("CC-BY-4.0", "CC-BY-NC-SA-4.0"), "CC-BY-NC-SA-4.0"),
    (("CC-BY-4.0", "GPL-3.0-only"), "GPL-3.0-only"),
    (("CC-BY-SA-3.0", "CC-BY-SA-4.0"), "CC-BY-SA-4.0"),
    (("CC-BY-SA-4.0", "GPL-3.0-only"), "GPL-3.0-only"),
    (("CC-BY-SA-3.0", "GPL-3.0-only"), "other"),
    (("CC-BY-SA-4.0", "CC-BY-NC-4.0"), "other"),
    (("CC-BY-SA-4.0", "CC-BY-NC-SA-4.0"), "other"),
    (("CC-BY-NC-3.0", "CC-BY-NC-4.0"), "CC-BY-NC-4.0"),
    (("CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"), "CC-BY-NC-SA-4.0"),
    (("CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0"), "CC-BY-NC-SA-4.0"),
    (("CC-BY-NC-4.0", "GPL-3.0-only"), "other"),
    (("CC-BY-NC-4.0", "ODC-By-1.0"), "other"),
    (("GPL-2.0-only", "GPL-3.0-only"), "other"),
    (("GPL-2.0-or-later", "GPL-3.0-only"), "GPL-3.0-only"),
    (("LGPL-2.1-only", "GPL-2.0-only"), "GPL-2.0-only"),
    (("LGPL-3.0-only", "GPL-3.0-only"), "GPL-3.0-only"),
    (("GPL-3.0-only", "AGPL-3.0-only"), "other"),
    (("Apache-2.0", "ODbL-1.0"), "other"),
    (("Apache-2.0", "llama2"), "other"),
    (("llama2", "llama3"), "other"),
    (("CC-BY-4.0", "ODbL-1.0"), "other"),
    (("MIT", "Apache-2.0", "CC-BY-4.0", "CC-BY-NC-4.0"), "CC-BY-NC-4.0"),
    (("MIT", "Apache-2.0", "CC-BY-SA-3.0", "CC-BY-NC-4.0"), "other"),
    (("MIT OR GPL-3.0-only",), "MIT"),
    (("GPL-3.0-only OR CC-BY-NC-4.0", "Apache-2.0"), "GPL-3.0-only"),
    (("MIT AND CC-BY-4.0",), "CC-BY-4.0"),
    (("unknown",), REFUSES),
    (("",), REFUSES),
    (("NOASSERTION",), REFUSES),
    (("NONE",), REFUSES),
    (("proprietary",), REFUSES),
    (("LicenseRef-house", "MIT"), REFUSES),
    (("GPL-2.0-only WITH Classpath-exception-2.0",), REFUSES),
    (("(MIT OR Apache-2.0) AND CC-BY-4.0",), REFUSES),
    (("MIT", "unknown"), REFUSES),
    (("CC-BY-ND-4.0",), REFUSES),
    (("MIT", "CC-BY-NC-ND-4.0"), REFUSES),
    (("MIT OR unknown",), "MIT"),
]


def whole(names: tuple[str, ...]):
    return licensing({(f"set{number}", name): number + 1 for number, name in enumerate(names)})


def test_the_table_is_long_enough():
    assert len({names for names, _ in TABLE}) == len(TABLE) >= 40


@pytest.mark.parametrize(("names", "expected"), TABLE, ids=lambda value: "+".join(value) if value != "" else "empty")
def test_the_effective_licence_of_a_combination(names, expected):
    found = whole(names)
    if expected == REFUSES:
        assert found.refused
        assert found.effective in {"unknown", "other"}
    else:
        assert not found.refused
        assert found.effective == expected
    assert found.reasons
    assert all(reason.strip() for reason in found.reasons)


@pytest.mark.parametrize(("names", "_expected"), TABLE)
def test_the_order_and_the_number_of_sources_change_nothing(names, _expected):
    once = whole(names)
    again = licensing({(f"x{n}", name): 5 for n, name in enumerate([*reversed(names), *names])})
    assert (again.effective, again.hub, bool(again.refused)) == (once.effective, once.hub, bool(once.refused))


def test_a_refusal_names_source_rows_and_reason():
    found = licensing({("belle", "unknown"): 70, ("web", "proprietary"): 5, ("own", "MIT"): 3})
    assert [(one.source, one.license, one.rows) for one in found.refused] == [
        ("belle", "unknown", 70),
        ("web", "proprietary", 5),
    ]
    assert "no licence is stated" in found.refused[0].why
    assert found.effective == found.hub == "unknown"


def test_every_licence_of_the_whole_is_asked_for():
    found = licensing({("a", "MIT"): 1, ("b", "CC-BY-NC-4.0"): 1})
    assert found.asks == (
        "MIT (a): keep its copyright notice",
        "CC-BY-NC-4.0 (b): name the author; no commercial use",
    )


NAMES = sorted({name for names, _ in TABLE for name in names if " " not in name and name})


def test_what_a_whole_is_shared_under_is_one_of_its_parts_or_other():
    for pair in itertools.combinations(NAMES, 2):
        found = whole(pair)
        ids = {licence(name).id for name in pair}
        assert found.effective in ids | {"other", "unknown"}
        kinds = {licence(name).kind for name in pair}
        assert bool(found.refused) == bool(kinds & REFUSED)
        if found.refused:
            continue
        if "noncommercial" in kinds and found.effective in ids:
            assert licence(found.effective).kind.startswith("noncommercial")
        if "share-alike" in kinds and found.effective in ids:
            assert licence(found.effective).kind in {"share-alike", "copyleft"}


def test_fitting_is_transitive_among_the_licences_of_one_family():
    versions = [licence(f"CC-BY-SA-{version}") for version in ("2.0", "2.5", "3.0", "4.0")]
    for early, late in itertools.combinations(versions, 2):
        assert fits(early, late)
        assert not fits(late, early)


def test_names_of_the_hub_s_list_are_read():
    for theirs, ours in (("gpl-3.0", "GPL-3.0-only"), ("odc-by", "ODC-By-1.0"), ("cc-by-sa-4.0", "CC-BY-SA-4.0")):
        assert licence(theirs).id == ours
    assert licence("GPL-2.0+").id == "GPL-2.0-or-later"
    assert [one.id for one in alternatives("MIT OR Apache-2.0")[1]] == ["Apache-2.0"]


def test_licences_of_the_shipped_cards_are_all_known():
    from doit import catalogue, yamlio

    for name in catalogue.names("schemas"):
        stated = yamlio.load(catalogue.find("schemas", name)).get("license", "unknown")
        assert licence(stated).kind != "unknown" or stated == "unknown", f"{name}: {stated}"
