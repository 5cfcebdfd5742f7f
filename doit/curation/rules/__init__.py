"""The rules of curation. The closed union here is the list of all of them; a new rule is one class and one name."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from doit.curation.rules.base import Rule
from doit.curation.rules.duplicates import ExactDuplicates, NearDuplicates
from doit.curation.rules.languages import Languages
from doit.curation.rules.lengths import AssistantChars, Tokens, Turns

AnyRule = Annotated[
    AssistantChars | Turns | Tokens | Languages | ExactDuplicates | NearDuplicates, Field(discriminator="kind")
]

RULES: dict[str, type[Rule]] = {
    member.model_fields["kind"].default: member for member in get_args(get_args(AnyRule)[0])
}
"""Kind -> its class, from the union."""
