"""The magics: arguments in, one call, something to show out."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand
from IPython.utils.text import DollarFormatter
from traitlets import Unicode, default, observe

from . import questions
from .arguments import Help, Parser
from .errors import LoginExpired, LoginFailed, NotLoggedIn
from .forgetting import forget
from .formats import FORMATS
from .live import WaitLine
from .rendering import Formats, show_link
from .session import close, session
from .settings import SETTING_NAMES, Settings

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .catalog import Catalog
    from .completions import Completion
    from .login import LoginStatus

EFFORTS = ("low", "medium", "high")


def _login_parser() -> Parser:
    parser = Parser("alcf_login", "Log in to the ALCF inference service with Globus.", "[CODE]", 15)
    parser.option("--prompt", action="store_true", help="ask for the code in the cell, and wait")
    parser.option(
        "--sandbox", action="store_true", help="start a local sandbox instead, without an account"
    )
    parser.option("--status", action="store_true", help="who is logged in, from where, until when")
    parser.option("--force", action="store_true", help="log in anew, whoever is logged in")
    parser.option(
        "--replace", action="store_true", help="take over a login that is another person's"
    )
    return parser


def _logout_parser() -> Parser:
    parser = Parser("alcf_logout", "Revoke and remove the login of this gateway.")
    parser.option("--all", action="store_true", help="also logins of other auth servers")
    return parser


def _models_parser() -> Parser:
    parser = Parser("alcf_models", "What runs where, now, live models first.", "[PATTERN]")
    parser.option("--cluster", metavar="NAME", default="", help="models of one cluster")
    parser.option("--live", action="store_true", help="live models only")
    return parser


def _temperature(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 2:
        raise ValueError
    return value


def _max_tokens(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


_temperature.__name__ = "temperature (0 to 2)"  # argparse names the type in its complaint
_max_tokens.__name__ = "number of tokens (1 or more)"


def _prompt_parser() -> Parser:
    parser = Parser(
        "alcf",
        "Send a prompt: the rest of the line (%alcf), or the cell (%%alcf). The answer streams.",
        "[PROMPT]",
    )
    parser.option("-m", "--model", default="", help="a model, or cluster:model; see %%alcf_models")
    parser.option("--cluster", metavar="NAME", default="", help="a model of this cluster")
    parser.option("-s", "--system", metavar="TEXT", default="", help="the system prompt")
    parser.option("-t", "--temperature", type=_temperature, metavar="0..2", help="sampling")
    parser.option("--max-tokens", type=_max_tokens, metavar="N", help="longest answer, in tokens")
    parser.option("--effort", choices=EFFORTS, help="how much a reasoning model reasons")
    parser.option(
        "--format",
        choices=tuple(FORMATS),
        default="markdown",
        help="; ".join(f"{name}: {format.help}" for name, format in FORMATS.items()),
    )
    parser.option(
        "--next-cell", action="store_true", help="with --format code: also into the next cell"
    )
    parser.option("--out", metavar="NAME", default="", help="a variable for the completion")
    return parser


@magics_class
class AlcfMagics(Magics):
    """Settings of alcf_magics, as `%config AlcfMagics` shows them. A token is never one."""

    shell: Any  # an IPython shell; a kernel's has more than the base class says

    gateway_url = Unicode(help="The gateway (ALCF_GATEWAY_URL).").tag(config=True)
    globus_auth_url = Unicode(help="Globus Auth (ALCF_GLOBUS_AUTH_URL).").tag(config=True)
    model = Unicode(help="The model of a prompt without -m (ALCF_MODEL).").tag(config=True)
    session_policies = Unicode(help="Policies that Globus asks of a login.").tag(config=True)
    session_domains = Unicode(help="Domains that Globus asks of a login.").tag(config=True)

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.formats = Formats(shell)
        for name in self._trait_values.keys() & set(SETTING_NAMES):  # from a configuration file
            session().choose(**{name: getattr(self, name)})

    @default("gateway_url")
    def _default_gateway_url(self) -> str:
        return Settings.load().gateway_url

    @default("globus_auth_url")
    def _default_globus_auth_url(self) -> str:
        return Settings.load().globus_auth_url

    @default("model")
    def _default_model(self) -> str:
        return Settings.load().model

    @default("session_policies")
    def _default_session_policies(self) -> str:
        return Settings.load().session_policies

    @default("session_domains")
    def _default_session_domains(self) -> str:
        return Settings.load().session_domains

    @observe(*SETTING_NAMES)
    def _chosen(self, change: Any) -> None:
        session().choose(**{change["name"]: change["new"]})

    @line_magic
    def alcf_login(self, line: str) -> LoginStatus | None:
        """Log in. See `%alcf_login --help`."""
        try:
            options, code = _login_parser().words(line)
        except Help as text:
            print(text)
            return None
        try:
            if code:
                forget(self.shell, code)
            if options.status:
                return session().login.status()
            self._log_in(code, options)
        except KeyboardInterrupt:
            # An ordinary traceback would show the cell, and with it the code.
            raise LoginFailed("The login was interrupted.", "Begin again: %alcf_login") from None
        finally:
            self._reflect()
            self._tell()
        return None

    def _log_in(self, code: str, options: argparse.Namespace) -> None:
        login = session().login
        if options.sandbox:
            print(login.sandbox())
        elif options.replace:
            print(login.replace())
        elif code:
            line = login.finish(code)
            self._close_panel(line)
            print(line)
        elif not options.force and (state := login.state()) is not None:
            print(state)
        else:
            self._begin_login(options.prompt, force=options.force)

    def _begin_login(self, prompt: bool, *, force: bool = False) -> None:
        """The panel in a notebook, a prompt in a terminal or on demand; headless, the link."""
        from .login import NOBODY

        login = session().login
        if is_headless(self.shell):
            if prompt:
                raise NotLoggedIn("Nobody is here to paste a code.", NOBODY)
            show_link(login.begin(force=force).authorize_url, login.why(), NOBODY)
        elif prompt or not hasattr(self.shell, "kernel"):
            print(login.prompt(force=force))
        else:
            from .panel import LoginPanel

            LoginPanel(session(), login, force=force).show()

    def _close_panel(self, line: str) -> None:
        if session().panel is not None:
            session().panel.close(line)

    @line_magic
    def alcf_logout(self, line: str) -> None:
        """Revoke and remove the login. See `%alcf_logout --help`."""
        try:
            options, word = _logout_parser().words(line)
        except Help as text:
            print(text)
            return
        if word:
            raise UsageError(f"%alcf_logout takes no argument: {word!r}")
        print(session().login.logout(everywhere=options.all))
        self._reflect()
        self._tell()

    @line_magic
    def alcf_models(self, line: str) -> Catalog | None:
        """What runs where. See `%alcf_models --help`."""
        try:
            options, pattern = _models_parser().words(line)
        except Help as text:
            print(text)
            return None
        with self._curing():
            catalog = session().catalog(max_age=0)
        return catalog.select(pattern, options.cluster, options.live)

    @no_var_expand
    @line_cell_magic
    def alcf(self, line: str, cell: str | None = None) -> Completion | None:
        """Send a prompt. See `%alcf --help`."""
        try:
            options, rest = _prompt_parser().split(line, self._expanded)
        except Help as text:
            print(text)
            return None
        prompt = rest if cell is None else f"{rest}\n{cell}" if rest else cell
        if not prompt.strip():
            raise UsageError(
                "The prompt is empty: write it behind %alcf, or below the %%alcf line."
            )
        if options.out and (not options.out.isidentifier() or iskeyword(options.out)):
            raise UsageError(f"--out {options.out}: not a name for a variable (try: --out answer)")
        if options.next_cell and options.format != "code":
            raise UsageError("--next-cell goes with --format code")
        from .prompting import ask

        __tracebackhide__ = True
        alone = is_whole_cell(self.shell, "alcf")
        with self._curing():
            completion = ask(
                self.shell,
                session(),
                options,
                prompt.strip("\n"),
                alone=alone,
                widgets=not is_headless(self.shell),
            )
        if not alone or not hasattr(self.shell, "kernel"):
            self.formats.on_screen(completion)
        return completion

    @contextlib.contextmanager
    def _curing(self) -> Iterator[None]:
        """Show what is waited for; when only a fresh login helps, show the panel at once."""
        __tracebackhide__ = True
        session().on_wait = WaitLine(self.shell)
        try:
            yield
        except KeyboardInterrupt as interrupt:
            # Raised anew, so that nobody has to read the inside of the event loop.
            raise interrupt.with_traceback(None) from None
        except LoginExpired as error:
            if error.fresh_login and hasattr(self.shell, "kernel") and not is_headless(self.shell):
                self._begin_login(prompt=False)
            raise
        finally:
            self._tell()

    def _tell(self) -> None:
        """Say once what happened to the token file."""
        for notice in session().notices():
            print(notice)

    def _reflect(self) -> None:
        """Let `%config` show the settings in force, which a sandbox changes."""
        settings = Settings.load(session().chosen)
        self._trait_values.update({name: getattr(settings, name) for name in SETTING_NAMES})

    def _expanded(self, value: str) -> str:
        """`-m $model` and `-m {model}` in an option; the prompt itself is never expanded."""
        try:
            return str(DollarFormatter().vformat(value, (), self.shell.user_ns))
        except Exception:  # as IPython does: what cannot be expanded stays as typed
            return value


def is_whole_cell(shell: Any, magic: str) -> bool:
    """Whether the cell that runs is nothing but one line with this magic."""
    try:
        code = str(shell.kernel.get_parent()["content"]["code"])
    except (AttributeError, KeyError):
        return False
    if code.lstrip().startswith(f"%%{magic}"):
        return True
    lines = [line.strip() for line in code.splitlines()]
    statements = [line for line in lines if line and not line.startswith("#")]
    return len(statements) == 1 and statements[0].startswith(f"%{magic}")


def is_headless(shell: Any) -> bool:
    """Whether nobody can answer a question: nbclient, papermill, a batch job, a pipe."""
    if not hasattr(shell, "kernel"):
        return not (sys.stdin and sys.stdin.isatty())
    try:
        return shell.kernel.get_parent()["content"].get("allow_stdin") is False
    except (AttributeError, KeyError, TypeError):
        return False


def load(shell: InteractiveShell) -> None:
    """Register the magics, and how their values are shown."""
    magics = AlcfMagics(shell)
    shell.register_magics(magics)
    magics.formats.install()
    questions.install(shell)


def unload(shell: InteractiveShell) -> None:
    """Take back everything that `load` registered, and close the session."""
    magics = shell.magics_manager.registry.pop("AlcfMagics", None)
    if magics is None:
        return
    for kind, names in magics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    shell.configurables.remove(magics)
    magics.formats.remove()
    questions.remove(shell)
    close()
