"""How we speak to a Hub: huggingface_hub's client with our limits on it, tries with growing waits, errors in our words.

The token stays with huggingface_hub: it is read by its own `get_token`, and a request that goes to another host than
the Hub's loses its `Authorization` on the way out. No message holds a token, a signed address or words of the server.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from doit.errors import DoitError, MissingExtra, SpecError, StorageError
from doit.hub.run_folder import REPOSITORY
from doit.reading.hub_repository import UNREACHABLE

WAITS = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each further try of a step."""

LONGEST = 60.0
"""The most seconds that a Hub may ask us to wait before a try."""

SECONDS = 120.0
"""How long a Hub may be silent within a request."""

_AGAIN = "Run the same command again; nothing is half done."
_LOGGERS = ("huggingface_hub", "httpx", "httpx2", "httpcore", "httpcore2", "hf_xet", "filelock", "urllib3")

Answer = TypeVar("Answer")


class Stale(Exception):
    """The branch is no longer where it was when we looked."""


class Passing(Exception):
    """Something that may be over at the next try."""

    def __init__(self, error: DoitError, seconds: float | None = None) -> None:
        super().__init__(str(error))
        self.error, self.seconds = error, seconds


def check_repository(repo: str, where: str = "REPO") -> str:
    """The name of a repository.

    Raises:
        SpecError: D204 it is not one.
    """
    if not REPOSITORY.fullmatch(repo) or len(repo) > 96:
        shown = repo if repo.isprintable() else ascii(repo)
        raise SpecError("D204", f'"{shown}" is not a repository.', where=where, hint="Write owner/name.")
    return repo


class Connection:
    """One Hub, for as long as something is published there.

    Args:
        repo: `owner/name`, for messages.
        waits: seconds before each further try.
    """

    def __init__(self, repo: str, waits: tuple[float, ...] | None = None) -> None:
        self.repo, self.waits = repo, WAITS if waits is None else waits
        try:
            import huggingface_hub as hub
            from huggingface_hub import constants, errors
        except ImportError:
            raise MissingExtra(
                "D208", "needs huggingface_hub.", where=repo, hint="`pip install 'doit-mix[hub]'`."
            ) from None
        self.hub, self.errors = hub, errors
        # read now, not at import: a program may set it after it has imported huggingface_hub
        self.endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
        if urlsplit(self.endpoint).scheme not in {"http", "https"} or not urlsplit(self.endpoint).hostname:
            raise self.error("HF_ENDPOINT is not the address of a Hub.", "Write https:// and a host, or unset it.")
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in constants.ENV_VARS_TRUE_VALUES
        if offline or constants.HF_HUB_OFFLINE:
            raise self.error(
                "HF_HUB_OFFLINE is set, and publishing needs the Hub.", "Unset it, or look with --dry-run."
            )
        # the base of all errors of the HTTP library that this version of huggingface_hub uses
        self._transport: Any = errors.HfHubHTTPError.__mro__[1]
        self.api = hub.HfApi(endpoint=self.endpoint, library_name="doit-mix")

    @property
    def host(self) -> str:
        """The Hub's name for messages: no user, no password, no path."""
        parts = urlsplit(self.endpoint)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    def error(self, what: str, hint: str = "") -> SpecError:
        """D211 about this repository."""
        return SpecError(UNREACHABLE, what, where=self.repo, hint=hint)

    def logged_in(self) -> None:
        """Refuse early where huggingface_hub has no token."""
        try:
            known = self.hub.get_token() is not None
        except Exception:  # noqa: BLE001  # whatever went wrong, its words may hold the token
            known = False
        if not known:
            raise self.error("there is no token to publish with.", "Log in with `hf auth login`, or set HF_TOKEN.")

    def ask(self, subject: str, request: Callable[[], Answer], *, also: tuple[type[BaseException], ...] = ()) -> Answer:
        """Make a request that may be made again, with a few tries.

        Args:
            subject: what is asked for, for messages.
            request: the call.
            also: errors of huggingface_hub that the caller wants to see.

        Raises:
            SpecError: D211 the Hub does not answer, refuses or breaks off.
        """
        for seconds in (*self.waits, None):
            try:
                return self.once(subject, request, also=also)
            except Stale:
                raise self.error(f"{self.host} answers {subject} with status 412.", _AGAIN) from None
            except Passing as passing:
                if seconds is None:
                    raise passing.error from None
                self.wait(seconds, passing)
        raise AssertionError

    def wait(self, seconds: float, passing: Passing) -> None:
        """Wait before the next try: what the Hub asks for, if that is not too long, or what we had in mind."""
        time.sleep(seconds if passing.seconds is None else min(passing.seconds, LONGEST))

    def once(
        self, subject: str, request: Callable[[], Answer], *, also: tuple[type[BaseException], ...] = ()
    ) -> Answer:
        """Make a request once.

        Raises:
            Stale: the branch has moved.
            Passing: it may work when made again.
            SpecError: D211 it will not.
        """
        try:
            return request()
        except DoitError:
            raise
        except also:
            raise
        except (self._transport, OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
            self._say(error, subject)

    def _say(self, error: BaseException, subject: str) -> NoReturn:
        errors = self.errors
        wrapped = isinstance(error, errors.LocalEntryNotFoundError) or type(error) in {ValueError, RuntimeError}
        if wrapped and isinstance(error.__cause__, Exception):
            self._say(error.__cause__, subject)
        if isinstance(error, errors.HfHubHTTPError):
            self._refused(error, subject)
        if isinstance(error, errors.OfflineModeIsEnabled):
            raise self.error("HF_HUB_OFFLINE is set.", "Unset it.") from None
        network = isinstance(error, ConnectionError | TimeoutError | self._transport)
        if isinstance(error, OSError) and error.errno and not network:
            raise StorageError("D104", f"{error.strerror}.", where=str(error.filename or self.repo)) from None
        if network:
            what = f"{self.host} cannot be reached, or broke off, for {subject} ({type(error).__name__})."
        else:
            what = f"{self.host} does not answer {subject} as a Hub does."
        raise Passing(self.error(what, _AGAIN)) from None

    def _refused(self, error: Any, subject: str) -> NoReturn:
        status = error.response.status_code
        if status == 412:
            raise Stale from None
        what = f"{self.host} answers {subject} with status {status}."
        if status in {408, 425, 429} or status >= 500:
            asked = error.response.headers.get("retry-after", "")
            seconds = float(asked) if asked.isascii() and asked.isdigit() else None
            raise Passing(self.error(what, _AGAIN), seconds) from None
        if status in {401, 403}:
            hint = "Log in with `hf auth login` or set HF_TOKEN, with a token that may write there."
            raise self.error(what, hint) from None
        raise self.error(what, "Look at the repository's name, and at HF_ENDPOINT where it is set.") from None


@contextlib.contextmanager
def guarded(connection: Connection) -> Iterator[None]:
    """Keep the token with its Hub, and the libraries' own words to themselves.

    The HTTP client of huggingface_hub is replaced for the block by one that drops `Authorization` where a request goes
    to another host, and that gives up on a silent one. Log lines of requests and progress bars outside a terminal are
    held back, because they name signed addresses.
    """
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http

    make = getattr(_http, "_GLOBAL_CLIENT_FACTORY", _http.default_client_factory)
    home = urlsplit(connection.endpoint)

    def keep(request: Any) -> None:
        target = urlsplit(str(request.url))
        if (target.scheme, target.hostname, target.port) != (home.scheme, home.hostname, home.port):
            request.headers.pop("authorization", None)
            request.headers.pop("cookie", None)

    def client() -> Any:
        made = make()
        made.timeout = SECONDS
        hooks = made.event_hooks
        made.event_hooks = {**hooks, "request": [*hooks["request"], keep]}
        return made

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.level, logger.disabled) for logger in loggers]
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(_bars())
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        set_client_factory(client)
        try:
            yield
        finally:
            set_client_factory(make)
            for logger, (level, disabled) in zip(loggers, before, strict=True):
                logger.setLevel(level)
                logger.disabled = disabled


@contextlib.contextmanager
def _bars() -> Iterator[None]:
    """The library's progress bars of uploads on a terminal, and none elsewhere."""
    utils: Any = importlib.import_module("huggingface_hub.utils")

    if sys.stderr.isatty() or utils.are_progress_bars_disabled():
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()
