"""Logins at a sandbox without a kernel, and requests that are signed with them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx

from alcf_magics._session import Session
from alcf_magics.auth.account import Account
from alcf_magics.auth.authorization import begin_login, read_code
from alcf_magics.auth.credentials import Credentials
from alcf_magics.auth.globus import GlobusAuth
from alcf_magics.auth.signing import GatewayAuth
from alcf_magics.sandbox import Sandbox
from alcf_magics.settings import Settings


def settings_of(sandbox: Sandbox) -> Settings:
    return Settings(gateway_url=sandbox.gateway_url, globus_auth_url=sandbox.globus_auth_url)


def log_in(sandbox: Sandbox, home: Path) -> Credentials:
    """Credentials with a real login at the sandbox, stored in the file under HOME."""
    settings = settings_of(sandbox)
    credentials = Credentials(lambda: settings)
    pending = begin_login(settings, time.time())
    code = read_code(sandbox.approve(pending.authorize_url), pending.state)
    assert credentials.keep(GlobusAuth(sandbox.globus_auth_url).exchange(pending, code)).written
    return credentials


def ask_sync(credentials: Credentials, sandbox: Sandbox) -> int:
    with httpx.Client(auth=GatewayAuth(credentials, sandbox.gateway_url)) as client:
        return client.get(f"{sandbox.gateway_url}/whoami").status_code


async def ask_async(credentials: Credentials, sandbox: Sandbox, times: int = 1) -> list[int]:
    auth = GatewayAuth(credentials, sandbox.gateway_url)
    async with httpx.AsyncClient(auth=auth) as client:
        answers = await asyncio.gather(
            *(client.get(f"{sandbox.gateway_url}/whoami") for _ in range(times))
        )
        return [answer.status_code for answer in answers]


def refreshes(sandbox: Sandbox) -> int:
    return sandbox.token_requests("refresh_token")


def account_at(sandbox: Sandbox, credentials: Credentials | None = None, **who: object) -> Account:
    """An account at the sandbox, whose gateway says `who` somebody is; nobody is logged in yet."""
    settings = settings_of(sandbox)
    return Account(
        lambda: settings, credentials or Credentials(lambda: settings), lambda: dict(who)
    )


def finish(account: Account, sandbox: Sandbox, **options: Any) -> str:
    """Log in as the sandbox's person does; the line that says so."""
    return account.finish(sandbox.approve(account.begin().authorize_url), **options)


def logged_in(sandbox: Sandbox) -> Session:
    session = Session()
    session.choose(gateway_url=sandbox.gateway_url, globus_auth_url=sandbox.globus_auth_url)
    pending = session.account.begin()
    session.account.finish(sandbox.approve(pending.authorize_url), pending)
    return session
