"""Files that pages load, out of the package."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from litestar import Response

from leuko.web.failures import NotThere
from leuko.web.render import Pages

_VERSION = re.compile(r"^@[0-9a-f]{1,40}/")


def asset_answer(pages: Pages, path: str, known: str) -> Response[Any]:
    """A file, kept for good by who asks. `known` is the `If-None-Match` that came along.

    `@version/` before the name is passed over: modules name each other without a version, and so get the
    one that their page had.
    """
    asset = pages.assets.get(_VERSION.sub("", path.lstrip("/"), count=1))
    if asset is None:
        raise NotThere(path[:200], "there is no such file")
    headers = {"ETag": f'"{asset.etag}"', "Cache-Control": "public, max-age=31536000, immutable"}
    if known == f'"{asset.etag}"':
        return Response(b"", status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(asset.body, media_type=asset.media_type, headers=headers)
