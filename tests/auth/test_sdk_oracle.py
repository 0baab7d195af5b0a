"""The Globus SDK as the judge: it loads our token file, refreshes from it, and we read it back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from alcf_magics.auth.credentials import Credentials
from alcf_magics.auth.token_file import TokenFile
from alcf_magics.sandbox import Sandbox
from alcf_magics.settings import (
    CLIENT_ID,
    GATEWAY_RESOURCE_SERVER,
    PRODUCTION_GLOBUS_AUTH,
    Settings,
)
from support.downloads import DownloadError, cache_directory, fetch_once, pip
from support.logins import ask_sync, log_in, refreshes, settings_of

VERSIONS = ["3.65.0", "4"]

USER_APP = f"""
import sys
import globus_sdk
from globus_sdk import UserApp
try:
    from globus_sdk.token_storage import JSONTokenStorage
except ImportError:  # 3
    from globus_sdk.tokenstorage import JSONTokenStorage
config = globus_sdk.GlobusAppConfig(request_refresh_tokens=True)
namespace = sys.argv[1]
if namespace != "DEFAULT":
    storage = JSONTokenStorage(sys.argv[2], namespace=namespace)
    config = globus_sdk.GlobusAppConfig(request_refresh_tokens=True, token_storage=storage)
app = UserApp("alcf_magics", client_id="{CLIENT_ID}", config=config)
app.add_scope_requirements({{"{GATEWAY_RESOURCE_SERVER}": [globus_sdk.scopes.Scope(
    "https://auth.globus.org/scopes/{GATEWAY_RESOURCE_SERVER}/action_all")]}})
authorizer = app.get_authorizer("{GATEWAY_RESOURCE_SERVER}")
print(globus_sdk.__version__)
print(authorizer.get_authorization_header())
authorizer.handle_missing_authorization()
print(authorizer.get_authorization_header())
"""


@pytest.fixture(scope="session", params=VERSIONS)
def sdk(request: pytest.FixtureRequest) -> Path:
    """A folder with one version of the SDK: the last of 3, and the newest 4."""
    version = request.param
    wanted = f"globus-sdk=={version}" if "." in version else "globus-sdk>=4,<5"
    folder = cache_directory() / f"globus-sdk-{version}-{sys.implementation.cache_tag}"
    try:
        return fetch_once(
            folder, lambda scratch: pip("install", "--quiet", "--target", str(scratch), wanted)
        )
    except DownloadError as error:
        pytest.skip(f"no globus-sdk {version}: {error}")


def run_sdk(sdk: Path, sandbox: Sandbox, home: Path, namespace: str = "") -> list[str]:
    """What a program of the SDK's prints with our file, against the sandbox.

    It uses the sandbox's own namespace, or another one that is named.
    """
    namespace = namespace or sandbox.globus_auth_url
    done = subprocess.run(
        [sys.executable, "-c", USER_APP, namespace, str(TokenFile().path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={
            **os.environ,
            "HOME": str(home),
            "PYTHONPATH": str(sdk),
            "GLOBUS_SDK_SERVICE_URL_AUTH": f"{sandbox.globus_auth_url}/",
        },
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split("\n")


def test_the_sdk_loads_our_file_and_refreshes_from_it(
    sdk: Path, sandbox: Sandbox, home: Path
) -> None:
    """UserApp takes our login as its own, refreshes it, and we go on with what it wrote."""
    credentials = log_in(sandbox, home)
    ours = credentials.current().token.reveal()
    version, first, second, *_ = run_sdk(sdk, sandbox, home)
    assert version.split(".")[0] in ("3", "4")
    assert first == f"Bearer {ours}"
    assert second != first
    assert refreshes(sandbox) == 1
    written = json.loads(TokenFile().path.read_text())
    entry = written["data"][sandbox.globus_auth_url][GATEWAY_RESOURCE_SERVER]
    assert second == f"Bearer {entry['access_token']}"
    assert "username" not in entry  # the SDK drops what it does not know
    again = Credentials(lambda: settings_of(sandbox))
    assert again.current().token.reveal() == entry["access_token"]
    assert ask_sync(again, sandbox) == 200


def test_we_refresh_what_the_sdk_wrote_and_it_reads_that(
    sdk: Path, sandbox: Sandbox, home: Path
) -> None:
    """Back and forth: our refresh of the SDK's file is again one that the SDK loads."""
    log_in(sandbox, home)
    run_sdk(sdk, sandbox, home)
    sandbox.expire_access_tokens()
    assert ask_sync(Credentials(lambda: settings_of(sandbox)), sandbox) == 200
    _, first, _, *_ = run_sdk(sdk, sandbox, home)
    assert sandbox.active(first.removeprefix("Bearer ")) or first
    assert refreshes(sandbox) == 3


def test_an_expired_grant_is_refreshed_by_the_sdk(sdk: Path, sandbox: Sandbox, home: Path) -> None:
    """The expiry that we write is the one by which the SDK decides."""
    log_in(sandbox, home)
    content = json.loads(TokenFile().path.read_text())
    for entry in content["data"][sandbox.globus_auth_url].values():
        entry["expires_at_seconds"] = int(time.time()) - 5
    TokenFile().path.write_text(json.dumps(content))
    run_sdk(sdk, sandbox, home)
    assert refreshes(sandbox) >= 2


def test_a_plain_user_app_takes_the_production_login(
    sdk: Path, sandbox: Sandbox, home: Path
) -> None:
    """What is in DEFAULT is loaded and refreshed without a word; other namespaces stay whole."""
    log_in(sandbox, home)
    file = TokenFile()
    for entry in file.load(sandbox.globus_auth_url).values():
        assert file.save((replace(entry, auth_server=PRODUCTION_GLOBUS_AUTH),)).written
    before = json.loads(file.path.read_text())
    _, first, second, *_ = run_sdk(sdk, sandbox, home, "DEFAULT")
    ours = before["data"]["DEFAULT"][GATEWAY_RESOURCE_SERVER]["access_token"]
    assert first == f"Bearer {ours}" != second
    after = json.loads(file.path.read_text())["data"]
    assert after[sandbox.globus_auth_url] == before["data"][sandbox.globus_auth_url]
    mine = Credentials(Settings).current()
    assert f"Bearer {mine.token.reveal()}" == second


def test_the_sdk_begins_a_namespace_in_a_file_of_ours(
    sdk: Path, sandbox: Sandbox, home: Path
) -> None:
    """A file with sandbox logins alone, without a DEFAULT, is one that the SDK adds to."""
    log_in(sandbox, home)
    script = (
        "try:\n    from globus_sdk.token_storage import JSONTokenStorage\n"
        "except ImportError:\n    from globus_sdk.tokenstorage import JSONTokenStorage\n"
        f"path = {str(TokenFile().path)!r}\n"
        f"stored = JSONTokenStorage(path, namespace={sandbox.globus_auth_url!r})\n"
        "default = JSONTokenStorage(path)\n"
        "assert default.get_token_data_by_resource_server() == {}\n"
        "default.store_token_data_by_resource_server(stored.get_token_data_by_resource_server())\n"
    )
    subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(sdk)},
    )
    file = TokenFile()
    assert file.load().keys() == file.load(sandbox.globus_auth_url).keys() > set()
