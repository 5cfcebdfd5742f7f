"""Whether what looks like a private thing is one: check digits, dates, public ranges, and the words before it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import date

Check = Callable[[str, str, "re.Match[str]"], bool]
"""(what matched, the whole text, the match) -> whether it is what it looks like."""

BEFORE = 24
"""Characters before a match in which a word for it counts."""
PHONE_WORDS = re.compile(
    r"(?i)电话|電話|手机|手機|联系|聯絡|聯繫|热线|熱線|拨打|撥打|致电|致電|传真|傳真|phone|tel|mobile|call|fax|contact"
)
CITIZEN_WORDS = re.compile(r"(?i)身份证|身份證|证件|證件|身分證|id card|identity")
CARD_WORDS = re.compile(r"(?i)卡|账户|帳戶|账号|帳號|银行|銀行|card|visa|account|bank")
VERSION_WORDS = re.compile(r"(?i)(?:version|ver|v|版本|版|release|section|章|节|節|第|build)[ .:：]{0,2}$")
PLACEHOLDER = re.compile(
    r"(?i)xxx|\*\*\*|your|example|sample|placeholder|passw|username|secret|change|dummy|test|demo|user|admin|1234|abc"
    r"|\.\.\.|\$|insert|replace|foo|bar|here|qwerty|hello"
)
"""What only stands for a secret in documents and exercises."""
KEY_WORDS = re.compile(
    r"(?i)token|secret|access|please|paste|placeholder|insert|replace|change|dummy|fake|sample|hugging|personal|demo"
    r"|here|qwer|asdf|zyxw|pass|none|null|test"
)
"""Words in what stands for a key; a random text of 34 letters has one in 1 of 500 cases."""
PROVINCES = frozenset(
    {11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54}
    | {61, 62, 63, 64, 65, 71, 81, 82, 83}
)
"""GB/T 2260: the first two digits of a mainland identity number."""
CITIZEN_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
"""GB 11643-1999, after ISO 7064 MOD 11-2."""
PUBLIC_SERVERS = frozenset({"114.114.114.114", "114.114.115.115", "208.67.222.222", "208.67.220.220"})
"""Name servers that everybody is told to use."""
TOLL_FREE = frozenset({"833", "844", "855", "866", "877", "888"})
"""North American numbers of firms; those of three digits that end in 00 are not of people either, here and in China."""
TWO_DIGIT_COUNTRIES = frozenset(
    {20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 60, 61}
    | {62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98}
)
"""ITU-T E.164; besides these there are 1, 7, and those of three digits."""


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)


def _before(match: re.Match[str], words: re.Pattern[str]) -> bool:
    return words.search(match.string, max(0, match.start() - BEFORE), match.start()) is not None


def _always(_value: str, _text: str, _match: re.Match[str]) -> bool:
    return True


def _key_block(value: str, _text: str, _match: re.Match[str]) -> bool:
    return re.search(r"[A-Za-z0-9+/=]{32}", value) is not None


def _credentials(value: str, _text: str, _match: re.Match[str]) -> bool:
    user, _, secret = value.partition(":")
    return (
        not PLACEHOLDER.search(secret) and secret not in {user, "pass", "pwd"} and not re.search(r"[{}<>\[\]]", value)
    )


def _key(value: str, _text: str, _match: re.Match[str]) -> bool:
    """A real key is random: many different characters, digits or capitals as no name has, no word for a placeholder."""
    tail = value[4:]
    if len(set(tail)) < 8 or re.search(r"(?i)x{4}|\.\.\.|your|example|123456789|abcdefg", value):
        return False
    return re.search(r"[0-9]", tail) is not None or _random_letters(value)


def _random_letters(value: str) -> bool:
    """Whether a key without a digit is one: nothing twice, no word, capitals side by side, so no name in camel case.

    Tokens of Hugging Face have letters alone, and 3 in 100 of those with 16 to 20 characters have no digit by chance.
    What follows `sk-` is also words (`sk-learn-…`), and too long to be without one.
    """
    wordy = KEY_WORDS.search(value) or re.search(r"(?i)(.{5}).*\1", value) or re.search(r"[a-z]{13}", value)
    unlike = not value.startswith("sk-") and not wordy
    cased = re.search(r"[A-Z]{2}", value[4:]) is not None and re.search(r"[a-z]", value[4:]) is not None
    return unlike and (cased or value.startswith(("AKIA", "ASIA")))


def _password(value: str, _text: str, match: re.Match[str]) -> bool:
    mixed = re.search(r"[0-9]", value) is not None and re.search(r"[A-Za-z]", value) is not None
    named = re.fullmatch(
        r"[A-Za-z_]+[0-9]{0,3}|[A-Za-z_]\w*(?:[./:=]\w+)+|[A-Za-z]+://.*|[0-9A-Fa-f]{1,2}(?::.*)?", value
    )
    long_enough = len(value) >= (6 if match["word"][0] in "pP密口" else 16)
    return bool(mixed and long_enough and not named and len(set(value)) >= 5 and not PLACEHOLDER.search(value))


def _mailbox(value: str, _text: str, _match: re.Match[str]) -> bool:
    local, _, domain = value.lower().rpartition("@")
    labels = domain.split(".")
    documents = labels[-1] in {"example", "test", "invalid", "localhost"} or "example" in labels[:-1]
    return not documents and local != "git" and not any(re.fullmatch(r"x+|\.+", part) for part in (local, *labels))


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return 1800 <= year <= 2100


def _citizen(value: str, _text: str, _match: re.Match[str]) -> bool:
    if int(value[:2]) not in PROVINCES or not _is_date(int(value[6:10]), int(value[10:12]), int(value[12:14])):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(value[:17], CITIZEN_WEIGHTS, strict=True))
    return "10X98765432"[total % 11] == value[17].upper()


def _citizen_15(value: str, _text: str, match: re.Match[str]) -> bool:
    born = _is_date(1900 + int(value[6:8]), int(value[8:10]), int(value[10:12]))
    return int(value[:2]) in PROVINCES and born and _before(match, CITIZEN_WORDS)


def _luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(int(digit) for digit in digits[::-2]) + sum(doubled)) % 10 == 0


def _issued(digits: str) -> bool:
    """ISO/IEC 7812: UnionPay, Visa, Mastercard, American Express, JCB, Discover, by prefix and length."""
    head, length = int(digits[:4]), len(digits)
    return (
        (6200 <= head <= 6299 and 16 <= length <= 19)
        or (digits[0] == "4" and length in {13, 16})
        or ((5100 <= head <= 5599 or 2221 <= head <= 2720) and length == 16)
        or (digits[:2] in {"34", "37"} and length == 15)
        or ((3528 <= head <= 3589 or head == 6011 or 6500 <= head <= 6599) and length == 16)
    )


def _card(value: str, _text: str, match: re.Match[str]) -> bool:
    digits = _digits(value)
    grouped = len(digits) < len(value)
    plausible = _issued(digits) and len(set(digits)) >= 4 and _luhn(digits)
    return plausible and (grouped or _before(match, CARD_WORDS))


def _mobile(value: str, _text: str, match: re.Match[str]) -> bool:
    national = value.removeprefix("+").removeprefix("00")
    foreign = len(national) < len(value)
    number = _digits(value)[-11:]
    # Numbers in groups also stand in tables, so a space needs a word for it.
    return len(set(number)) >= 3 and (" " not in value or foreign or _before(match, PHONE_WORDS))


def _landline(value: str, _text: str, match: re.Match[str]) -> bool:
    area = re.match(r"[(（]?(0[0-9]{2,3})", value)
    if area is None or not re.fullmatch(r"010|02[0-9]|0[3-9][0-9]{2}", area[1]):
        return False
    number = _digits(value[area.end() :].split("-", maxsplit=1)[0] or value[area.end() :])
    return len(set(number)) >= 3 and (not re.match(r"0[0-9]+ ", value) or _before(match, PHONE_WORDS))


def _taiwan(value: str, _text: str, _match: re.Match[str]) -> bool:
    digits = _digits(value)
    return len(set(digits[2:])) >= 3 and digits not in "0123456789 0987654321"


def _north_america(value: str, _text: str, _match: re.Match[str]) -> bool:
    area, exchange = (digits := _digits(value)[-10:])[:3], digits[3:6]
    # 555 is for films and examples.
    firm = area in TOLL_FREE or area.endswith("00")
    return not firm and "555" not in (area, exchange) and len(set(digits)) >= 3


def _abroad(value: str, _text: str, _match: re.Match[str]) -> bool:
    digits = _digits(value)
    country = (
        digits[0] in "17" or int(digits[:2]) in TWO_DIGIT_COUNTRIES or bool(re.match(r"2[1-9]|[34568]|9[679]", digits))
    )
    area = digits[1:4] if digits[0] == "1" else ""
    firm = area in TOLL_FREE or area.endswith("00")
    fiction = digits[0] == "1" and "555" in (area, digits[4:7])
    return country and not firm and not fiction and 9 <= len(digits) <= 15 and len(set(digits)) >= 4


def _ipv4(value: str, text: str, match: re.Match[str]) -> bool:
    octets = value.split(".")
    # Versions, sections and measurements look like this too, but their numbers are small.
    if len(value) < 11 or octets[-1] in {"0", "255"} or value in PUBLIC_SERVERS:
        return False
    if VERSION_WORDS.search(text[max(0, match.start() - BEFORE) : match.start()]):
        return False
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError:
        return False
    return address.is_global and not address.is_multicast


def _ipv6(value: str, _text: str, _match: re.Match[str]) -> bool:
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        return False
    return address.is_global and value.count(":") >= 3


CHECKS: dict[str, Check] = {
    "always": _always,
    "key_block": _key_block,
    "credentials": _credentials,
    "key": _key,
    "password": _password,
    "mailbox": _mailbox,
    "citizen": _citizen,
    "citizen_15": _citizen_15,
    "card": _card,
    "mobile": _mobile,
    "landline": _landline,
    "taiwan": _taiwan,
    "north_america": _north_america,
    "abroad": _abroad,
    "ipv4": _ipv4,
    "ipv6": _ipv6,
}
