"""Data sets of Kaggle, fetched by ``kagglehub``, which is an optional extra."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

from xaibench.errors import UserError
from xaibench.progress import Progress

SITE = "https://www.kaggle.com"
TIMEOUT = 5.0


def fetch(handle: str, root: Path, progress: Progress) -> Path:
    """Return the folder that holds the data set ``owner/name``, fetched if need be.

    ``root`` becomes a link to it where nothing has that name yet, so that it is found offline.

    Raises:
        UserError: kagglehub is not installed, or the site cannot be reached or refuses.
    """
    by_hand = f"or unpack {SITE}/datasets/{handle} into {root}"
    try:
        import kagglehub
    except ImportError:
        raise UserError(
            f"when_missing: download needs kagglehub; run pip install 'xaibench[kaggle]', {by_hand}"
        ) from None
    _check_reachable(by_hand)
    progress.say(f"fetching {handle} from Kaggle")
    try:
        folder = Path(kagglehub.dataset_download(handle))
    except Exception as error:  # its own errors, and those of the network below it
        raise UserError(
            f"{handle} cannot be fetched from Kaggle ({error}); try again, {by_hand}"
        ) from None
    if not root.exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        root.symlink_to(folder.resolve(), target_is_directory=True)
    return folder


def _check_reachable(by_hand: str) -> None:
    # kagglehub itself tries for minutes.
    try:
        urllib.request.urlopen(SITE, timeout=TIMEOUT).close()
    except urllib.error.HTTPError:
        return  # an answer, whatever it says
    except OSError as error:
        raise UserError(
            f"{SITE} cannot be reached ({error}); check the network, {by_hand}, or set "
            "when_missing: synthesize"
        ) from None
