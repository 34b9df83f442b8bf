"""Answers this computer only, also when a browser is tricked into asking."""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from nas.service.problems import respond


class LocalOnly:
    """Refuses requests that reached a loopback address under a foreign name, or from a foreign page.

    The first is DNS rebinding: a site resolves its own name to 127.0.0.1 to read the answers. The
    second is a form on a foreign site that posts here. (Starlette's ``TrustedHostMiddleware``
    knows only the first, and answers in plain text.)
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        app = self._app
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            asked, origin = headers.get("host", ""), headers.get("origin")
            if not is_loopback(f"//{asked}") or (origin is not None and not is_loopback(origin)):
                detail = "This service answers local requests only; ask for it as localhost or 127.0.0.1."
                app = respond(scope["path"], "Forbidden", 403, detail)
        await app(scope, receive, send)


def is_loopback(url: str) -> bool:
    """Whether the host of ``url`` (or of ``//host:port``) is this computer's loopback."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
