"""A real JupyterHub with two users: each logs in with the panel, their tokens apart."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest

from alcf_magics import demo
from alcf_magics.sandbox import Sandbox
from support.downloads import DownloadError, cache_directory, fetch_once
from support.lab import FLAGS, HELPERS, find_chromium, require_browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PROXY = "configurable-http-proxy"
USERS = ("ada", "grace")
CELLS = (
    "%load_ext alcf_magics",
    "%alcf_login",
    "%alcf_models",
    "%%alcf -m gpt-oss-120b\nSay hello.",
)
CONFIGURATION = """
from pathlib import Path
from jupyterhub.spawner import SimpleLocalProcessSpawner

home = Path({home!r})

class Spawner(SimpleLocalProcessSpawner):
    home_dir_template = str(home / "{{username}}")

c.JupyterHub.spawner_class = Spawner
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.bind_url = "http://127.0.0.1:{port}/hubs/alcf/"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.JupyterHub.db_url = "sqlite:///" + str(home / "hub.sqlite")
c.JupyterHub.cookie_secret_file = str(home / "cookie_secret")
c.ConfigurableHTTPProxy.command = [{proxy!r}]
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.pid_file = str(home / "proxy.pid")
c.Spawner.cmd = [{python!r}, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root", "--LabApp.expose_app_in_browser=True"]
c.Spawner.default_url = "/lab/tree/lesson.ipynb"
c.Spawner.environment = {environment!r}
c.Spawner.start_timeout = 60
"""


def proxy_program() -> Path:
    """The hub's proxy, from npm, fetched once for all runs."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no hub: npm is not here to fetch its proxy (.ci/run installs it)")

    def make(folder: Path) -> None:
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
        done = subprocess.run([*command, PROXY], capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise DownloadError(f"npm could not fetch {PROXY}: {done.stderr[-200:]}")

    try:
        folder = fetch_once(cache_directory() / PROXY, make)
    except DownloadError as error:
        pytest.skip(f"no hub: {error}")
    return folder / "node_modules" / ".bin" / PROXY


@contextmanager
def hub(home: Path, sandbox: Sandbox) -> Iterator[str]:
    """A hub on loopback behind a dead proxy of the environment; yields its address."""
    for user in USERS:
        folder = home / user
        demo.furnish(folder)
        cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
        kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernelspec})
        nbformat.write(notebook, folder / "lesson.ipynb")
    port = demo.free_port()
    configuration = home / "jupyterhub_config.py"
    dead = {"HTTP_PROXY": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1"}
    configuration.write_text(
        CONFIGURATION.format(
            home=str(home),
            port=port,
            hub_port=demo.free_port(),
            api_port=demo.free_port(),
            proxy=str(proxy_program()),
            python=sys.executable,
            environment={**sandbox.environment, **dead},
        )
    )
    log = home / "hub.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(configuration)],
            cwd=home,
            env={**os.environ, "CONFIGPROXY_AUTH_TOKEN": "for-this-test-alone"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}/hubs/alcf/"
            if not _answers(process, url):
                raise AssertionError(f"The hub did not start:\n{log.read_text()[-3000:]}")
            yield url
        finally:
            # The hub ends its users' servers and its proxy on the way out.
            demo.stop_server(process)


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    # A transport of its own reads no proxy of the environment.
    with httpx.Client(transport=httpx.HTTPTransport()) as client:
        for _ in range(600):
            try:
                if client.get(f"{url}hub/health").status_code == 200:
                    return True
            except httpx.TransportError:
                pass
            if process.poll() is not None:
                return False
            time.sleep(0.1)
    return False


def run_lesson(browser: Any, url: str, user: str, sandbox: Sandbox) -> None:
    """One user signs in at the hub, logs in with the panel, sees the table and an answer."""
    context = browser.new_context()
    context.add_init_script(HELPERS)
    page = context.new_page()
    page.goto(f"{url}hub/login")
    page.locator("input[name=username]").fill(user)
    page.locator("input[name=password]").fill("any")
    page.locator("input[type=submit]").click()
    page.wait_for_url(f"**/hubs/alcf/user/{user}/lab/tree/**", timeout=60_000)
    page.wait_for_function("() => window.jupyterapp", timeout=60_000)
    connected = "() => !window.lab.running && window.lab.connected('lesson.ipynb')"

    def run(index: int) -> Any:
        page.wait_for_function(connected, timeout=60_000)
        start = "(i) => window.lab.start('lesson.ipynb', 'notebook:run-cell', i)"
        page.evaluate(start, index)
        return page.locator(".jp-NotebookPanel .jp-Cell").nth(index)

    run(0)
    login = run(1)
    box = login.locator("input[type=password]")
    box.wait_for()
    box.fill(sandbox.approve(login.get_by_role("link").get_attribute("href")))
    box.press("Enter")
    login.get_by_text(f"Logged in as {user}@anl.gov").first.wait_for()
    run(2).locator("table").get_by_text("openai/gpt-oss-120b").wait_for()
    run(3).get_by_text("A sandbox answered").first.wait_for()
    page.wait_for_function(connected, timeout=60_000)
    context.close()


def test_two_users_of_a_hub_have_logins_apart(home: Path, sandbox: Sandbox) -> None:
    """Panel, table and answer work under a base URL and past a dead proxy."""
    from playwright.sync_api import sync_playwright

    require_browser()
    if find_spec("jupyterhub") is None:
        pytest.skip("no hub: jupyterhub is not installed (pip install jupyterhub)")
    with hub(home, sandbox) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        for user in USERS:
            sandbox.identity = replace(sandbox.identity, username=f"{user}@anl.gov", sub=user)
            run_lesson(browser, url, user, sandbox)
        browser.close()
    files = [list((home / user).rglob("tokens.json")) for user in USERS]
    assert [len(found) for found in files] == [1, 1]
    one, other = (found[0].read_text(encoding="utf-8") for found in files)
    assert one != other
    asked = [r for r in sandbox.requests if r.path.endswith("chat/completions")]
    assert [r.status for r in asked] == [200, 200]
