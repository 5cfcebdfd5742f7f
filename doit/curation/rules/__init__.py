"""The rules of curation. The closed union here is the list of all of them; a new rule is one class and one name."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from doit.curation.rules.base import Rule
from doit.curation.rules.contamination import Contaminated
from doit.curation.rules.duplicates import ExactDuplicates, NearDuplicates, NearEmbeddings
from doit.curation.rules.generator import BelleGenerator, BelleMillion
from doit.curation.rules.languages import LanguageMismatch, Languages
from doit.curation.rules.lengths import AssistantChars, Chars, Tokens, Turns
from doit.curation.rules.noise import Alphanumeric, CopiedInput, Leftovers, MissingInput, Repetition, Urls
from doit.curation.rules.patterns import Pattern
from doit.curation.rules.private import Secrets
from doit.curation.rules.refusals import IdentityLeak, Refusals
from doit.curation.rules.script import Script
from doit.curation.rules.selection import FarthestFirst, ScoreBounds, ScoreSample, TopScores

AnyRule = Annotated[
    AssistantChars
    | Chars
    | Turns
    | Tokens
    | Languages
    | LanguageMismatch
    | Script
    | Repetition
    | Alphanumeric
    | Urls
    | CopiedInput
    | MissingInput
    | Leftovers
    | Refusals
    | IdentityLeak
    | BelleGenerator
    | BelleMillion
    | Secrets
    | Pattern
    | ExactDuplicates
    | NearDuplicates
    | NearEmbeddings
    | Contaminated
    | ScoreBounds
    | TopScores
    | ScoreSample
    | FarthestFirst,
    Field(discriminator="kind"),
]

RULES: dict[str, type[Rule]] = {
    member.model_fields["kind"].default: member for member in get_args(get_args(AnyRule)[0])
}
"""Kind -> its class, from the union."""
