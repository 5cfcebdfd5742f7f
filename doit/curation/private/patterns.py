"""What private things look like: for each form a loose pattern for Polars' engine and an exact one for Python's.

A text in which the exact pattern matches always has a match of the loose one: the loose one is the same without
look-arounds, or only its beginning. All repetitions are bounded or begin where no other match of theirs can, so that
the exact search takes time linear in the text too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

WIDE = re.compile(r"[０-９Ａ-Ｚａ-ｚ＠．＋－／＝]")
"""Full-width characters that a private thing can be written in; texts with one are read as if they were ASCII."""

LEFT = r"(?<![0-9A-Za-z_])(?<![0-9][.,])"
RIGHT = r"(?![0-9A-Za-z_])(?!\.[0-9])"
"""No digit, letter or decimal sign on either side: the number is whole."""

MOBILE = r"1(?:[348][0-9]|5[0-35-9]|6[2567]|7[0-8]|9[0-35-9])[ -]?[0-9]{4}[ -]?[0-9]{4}"
"""The ranges that mainland operators have."""
LANDLINE = r"(?:[(（]0[0-9]{2,3}[)）] ?|0[0-9]{2,3}[ -])[2-9][0-9]{6,7}"
TAIWAN = r"(?:09[0-9]{2}-?[0-9]{3}-?[0-9]{3}|(?:[(（]0[2-8][)）] ?|0[2-8]-)[0-9]{3,4}-[0-9]{4})"
NORTH_AMERICA = r"(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}-)[2-9][0-9]{2}-[0-9]{4}"
ABROAD = r"\+[1-9][0-9]{0,2}[ .-]?\(?[0-9]{1,4}\)?(?:[ .-]?[0-9]{2,5}){2,4}"
CARD = (
    r"(?:[2-6][0-9]{3}(?:[ -][0-9]{4}){3}(?:[ -]?[0-9]{1,3})?|3[47][0-9]{2}[ -][0-9]{6}[ -][0-9]{5}|[2-6][0-9]{12,18})"
)
CITIZEN = r"[1-9][0-9]{5}(?:18|19|20)[0-9]{2}[01][0-9][0-3][0-9]{4}[0-9Xx]"
CITIZEN_15 = r"[1-9][0-9]{7}[01][0-9][0-3][0-9]{4}"
IPV4 = r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}"
IPV6 = r"[23][0-9A-Fa-f]{3}(?::[0-9A-Fa-f]{0,4}){2,7}"
USER_AND_PASSWORD = r"[!-.0-9;-?A-~]{1,64}:[!-.0-?A-~]{1,128}"  # noqa: S105 - a pattern, no password
MAILBOX = r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}"
PEM = r"-----BEGIN (?:[A-Z]{2,10} ){0,2}PRIVATE KEY"

KEYS = (
    r"(?:AKIA|ASIA)[0-9A-Z]{16}",  # Amazon Web Services
    r"LTAI[0-9A-Za-z]{12,26}",  # Alibaba Cloud
    r"AKID[0-9A-Za-z]{13,36}",  # Tencent Cloud
    r"AIza[0-9A-Za-z_-]{35}",  # Google
    r"gh[pousr]_[0-9A-Za-z]{36,255}",  # GitHub
    r"github_pat_[0-9A-Za-z_]{22,255}",
    r"glpat-[0-9A-Za-z_-]{20,64}",  # GitLab
    r"sk-(?:proj-|ant-|or-v1-)?[0-9A-Za-z_-]{20,200}",  # OpenAI and the services that follow its form
    r"hf_[0-9A-Za-z]{30,64}",  # Hugging Face
    r"xox[abeoprs]-[0-9A-Za-z-]{10,255}",  # Slack
    r"hooks\.slack\.com/services/T[0-9A-Z]{6,12}/B[0-9A-Z]{6,12}/[0-9A-Za-z]{20,30}",
    r"[rs]k_live_[0-9A-Za-z]{20,255}",  # Stripe
    r"SG\.[0-9A-Za-z_-]{16,32}\.[0-9A-Za-z_-]{32,64}",  # SendGrid
    r"npm_[0-9A-Za-z]{36}",
    r"pypi-AgEI[0-9A-Za-z_-]{40,255}",
    r"dop_v1_[0-9a-f]{64}",  # DigitalOcean
    r"[0-9]{8,10}:AA[0-9A-Za-z_-]{32,34}",  # Telegram bots
    r"AccountKey=[0-9A-Za-z+/]{60,100}={0,2}",  # Azure Storage
)
WORDS = r"(?i:password|passwd|passphrase|pwd|secret|api[_ -]?key|access[_ -]?key|token|密码|密碼|口令)"
SAYS = r"[\"'`]?[ \t]{0,3}(?:[是为為]?[=:：＝]|[是为為]|(?i:is)[ \t])[ \t]{0,3}[\"'`]?"
VALUE = r"[!#$%&*+./:=?@^_~0-9A-Za-z-]{5,63}[!#$%&*+=@_~0-9A-Za-z]"


@dataclass(frozen=True)
class Pattern:
    """One form of one kind of private thing."""

    kind: str
    loose: str
    """Matches, in Polars' engine, in every text in which `exact` does."""
    exact: str
    """For Python's engine; its group `value`, or else all of it, is what is private."""
    check: str
    """Which of `doit.curation.private.checks.CHECKS` a match must pass."""
    hints: tuple[str, ...] = ("",)
    """A text without any of these has no match."""


def _number(kind: str, core: str, check: str, hints: tuple[str, ...] = ("",)) -> Pattern:
    return Pattern(kind, core, f"{LEFT}{core}{RIGHT}", check, hints)


PATTERNS = (
    Pattern(
        "private-key",
        PEM,
        # Up to the end mark, or as far as the key goes where it was cut off.
        PEM + r"(?: BLOCK)?-----(?:(?:[^-]|-(?!----)){40,16384}-----END [A-Z ]{0,24}PRIVATE KEY(?: BLOCK)?-----"
        r"|[A-Za-z0-9+/=\s]{40,16384})",
        "key_block",
        ("PRIVATE KEY",),
    ),
    Pattern(
        "url-credentials",
        f"://{USER_AND_PASSWORD}@",
        f"(?<=[A-Za-z0-9]://)(?P<value>{USER_AND_PASSWORD})(?=@[A-Za-z0-9])",
        "credentials",
        ("://",),
    ),
    Pattern(
        "jwt",
        r"eyJ[A-Za-z0-9_-]{10,64}",
        r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
        "always",
        ("eyJ",),
    ),
    Pattern("api-key", "|".join(KEYS), f"(?<![0-9A-Za-z_-])(?:{'|'.join(KEYS)})", "key"),
    Pattern(
        "password",
        f"{WORDS}{SAYS}",
        f"(?P<word>{WORDS}){SAYS}(?P<value>{VALUE})(?![0-9A-Za-z(\\[{{<])",
        "password",
    ),
    Pattern("e-mail", MAILBOX, f"(?<![A-Za-z0-9._%+-]){MAILBOX}(?![A-Za-z0-9-])", "mailbox", ("@",)),
    _number("id-card", CITIZEN, "citizen"),
    _number("id-card", CITIZEN_15, "citizen_15"),
    _number("bank-card", CARD, "card"),
    Pattern(
        "phone", MOBILE, rf"{LEFT}(?<![0-9][-+*/=])(?:(?:\+|00)?86[ -]?)?{MOBILE}{RIGHT}(?![-+*/=][0-9])", "mobile"
    ),
    Pattern("phone", LANDLINE, f"{LEFT}{LANDLINE}(?:-[0-9]{{1,5}})?{RIGHT}", "landline", ("0",)),
    _number("phone", TAIWAN, "taiwan", ("0",)),
    Pattern(
        "phone", NORTH_AMERICA, f"(?<![0-9A-Za-z_.-])(?:\\+?1[ -])?{NORTH_AMERICA}(?!-){RIGHT}", "north_america", ("-",)
    ),
    Pattern("phone", ABROAD, f"(?<![0-9A-Za-z_)\\]=*/^.-])(?<![0-9)] ){ABROAD}{RIGHT}", "abroad", ("+",)),
    Pattern(
        "ip", IPV4, f"(?<![0-9A-Za-z_.-])(?<![0-9A-Za-z]/){IPV4}(?![0-9A-Za-z_]|\\.[0-9]|/[0-9]|-[0-9])", "ipv4", (".",)
    ),
    Pattern("ip", IPV6, f"(?<![0-9A-Za-z_:.]){IPV6}(?![0-9A-Za-z_:])", "ipv6", (":",)),
)
