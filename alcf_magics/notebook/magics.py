"""The magics: arguments in, one call, something to show out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand
from traitlets import TraitError

from .._session import close, session
from ..errors import AlcfError, LoginExpired, LoginFailed, in_one_line, interrupted_prompt
from ..told import Told
from . import near_misses, rewriting
from .arguments import Help, Parser, expanded
from .cells_above import CellsAbove
from .complete import Completions
from .formatters import Formatters
from .input_history import forget
from .login import Logins
from .options import (
    check_chat,
    check_format,
    check_login,
    check_models,
    check_out,
    check_tools,
    login_parser,
    logout_parser,
    models_parser,
    prompt_parser,
)
from .outputs import clear
from .shells import is_headless, is_kernel, is_whole_cell
from .traits import DEFAULTS, NUMBERS, Aliases, Setting
from .wait_line import WaitLine
from .watching import start, watch

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..auth.account import LoginStatus
    from ..gateway.catalog import Catalog
    from ..gateway.completions import Completion


@magics_class
class AlcfMagics(Magics):
    """Settings of alcf_magics, as `%config AlcfMagics` shows them. A token is never one."""

    shell: Any  # an IPython shell; a kernel's has more than the base class says

    gateway_url = Setting("The gateway (ALCF_GATEWAY_URL).")
    globus_auth_url = Setting("Globus Auth (ALCF_GLOBUS_AUTH_URL).")
    model = Setting("The model of a prompt without -m (ALCF_MODEL).")
    session_policies = Setting("Policies that Globus asks of a login, separated by commas.")
    session_domains = Setting("Domains that Globus asks of a login, separated by commas.")

    system = Setting("The system text of a prompt without -s.")
    aliases = Aliases("Names of your own for models: {'fast': 'metis:gpt-oss-120b'}.")
    cassette = Setting("A file of recorded answers, which answer again; see --fresh.")
    vars().update(NUMBERS)
    vars().update(DEFAULTS)  # the default of each parameter, under its name

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.formatters = Formatters(shell)
        self.logins = Logins(shell)
        self.cells_above = CellsAbove(shell)
        self.completions = Completions(shell)

    @line_magic
    def alcf_login(self, line: str) -> LoginStatus | None:
        """Log in. See `%alcf_login --help`."""
        parser = login_parser()
        self._forget_words(line, parser)
        try:
            options, code = parser.words(line)
            check_login(options, code)
        except Help as text:
            print(text)
            return None
        with self._logging_in("login") as told:
            if options.status:
                return session().account.status(told)
            if said := self.logins.log_in(code, options, told):
                print(said)
        return None

    @line_magic
    def alcf_logout(self, line: str) -> None:
        """Revoke and remove the login. See `%alcf_logout --help`."""
        parser = logout_parser()
        self._forget_words(line, parser)
        try:
            options, word = parser.words(line)
        except Help as text:
            print(text)
            return
        if word:
            raise UsageError("%alcf_logout takes no argument; see %alcf_logout --help")
        with self._logging_in("logout") as told:
            print(self.logins.log_out(everywhere=options.all, told=told))

    def _forget_words(self, line: str, parser: Parser) -> None:
        """Any word that is no option may be a code, also in a line that turns out to be wrong."""
        for word in line.split():
            if word not in parser.names:
                forget(self.shell, word)

    @contextlib.contextmanager
    def _logging_in(self, what: str) -> Iterator[Told]:
        """Say what is waited for; whatever goes wrong is one line, in which no code can stand."""
        told = Told(WaitLine(self.shell))
        try:
            yield told
        except KeyboardInterrupt:
            raise LoginFailed(
                f"The {what} was interrupted.", f"Begin again: %alcf_{what}"
            ) from None
        except EOFError:  # Ctrl-D at the question, or nobody there to answer it
            raise LoginFailed("No code was typed.", f"Begin again: %alcf_{what}") from None
        except (AlcfError, UsageError) as error:
            raise error.with_traceback(None) from None
        except Exception as error:
            raise LoginFailed(
                f"The {what} failed for a reason of its own ({type(error).__name__}).",
                f"Begin again: %alcf_{what}",
            ) from None
        finally:
            _tell(told)

    @line_magic
    def alcf_models(self, line: str) -> Catalog | None:
        """What runs where. See `%alcf_models --help`."""
        try:
            options, pattern = models_parser().words(line)
        except Help as text:
            print(text)
            return None
        check_models(options, pattern)
        told = Told(WaitLine(self.shell))

        def look() -> Catalog:
            catalog = session().catalog(told=told).select(pattern, options.cluster, options.live)
            return replace(catalog, with_jobs=options.jobs)

        with self._curing(told):
            if options.start:
                print(start(session(), options.start, options.cluster, told))
            if options.watch:
                return watch(self.shell, look, told)
            return None if options.start else look()

    @no_var_expand
    @line_cell_magic
    def alcf(self, line: str, cell: str | None = None) -> Completion | None:
        """Send a prompt: the rest of the line (%alcf), or the cell (%%alcf)."""
        parser = prompt_parser()
        line, cell = near_misses.joined(parser, line, cell)
        try:
            options, rest = parser.split(line, self._expanded)
        except Help as text:
            print(text)
            return None
        near_misses.check(parser, line, rest, cell)
        prompt = rest if cell is None else f"{rest}\n{cell}" if rest else cell
        if not prompt.strip():
            raise UsageError(
                "The prompt is empty: write it behind %alcf, or below the %%alcf line."
            )
        check_out(options)
        check_format(options)
        check_tools(options)
        check_chat(options)
        from .prompting import ask

        __tracebackhide__ = True
        # Beside tools there is what they print, which stays.
        alone = is_whole_cell(self.shell) and not options.tools
        told = Told(WaitLine(self.shell))
        with self._curing(told, told_below=alone and is_kernel(self.shell)):
            near_misses.check_model(parser, session(), line, rest, told)
            completion = ask(
                self.shell,
                session(),
                options,
                prompt.strip("\n"),
                alone=alone,
                widgets=not is_headless(self.shell),
                told=told,
                made=self.formatters.has_page,
                above=self.cells_above,
            )
        self.formatters.tell_below(completion, told)
        if not alone or not is_kernel(self.shell):
            self.formatters.on_screen(completion)
        return completion

    @contextlib.contextmanager
    def _curing(self, told: Told, *, told_below: bool = False) -> Iterator[None]:
        """When only a fresh login helps, show the panel at once; then tell what there is to tell.

        `told_below` says that this goes into the cell's one output.
        """
        __tracebackhide__ = True
        try:
            yield
        except KeyboardInterrupt as interrupt:
            told_below = False
            if not hasattr(interrupt, "_render_traceback_"):
                in_one_line(interrupt, interrupted_prompt(kept=False))
            raise interrupt.with_traceback(None) from None
        except LoginExpired as error:
            told_below = False
            if error.fresh_login and is_kernel(self.shell) and not is_headless(self.shell):
                self.logins.begin(told, refused=True)
            raise
        except BaseException as error:
            if told_below and getattr(error, "completion", None) is None:
                clear()  # nothing came: no trace is left of what was waited for, either
            told_below = False
            raise
        finally:
            if not told_below:
                _tell(told)

    def _expanded(self, value: str) -> str:
        """`-m $model` and `-m {model}` in an option; a prompt has `{{name}}` alone."""
        return expanded(value, self.shell.user_ns)


def _tell(told: Told) -> None:
    """Say what happened beside what was asked for."""
    for notice in told.notices():
        print(notice)


#: What `%alcf?` shows is what `%alcf --help` prints.
for _method, _parser in (
    (AlcfMagics.alcf_login, login_parser),
    (AlcfMagics.alcf_logout, logout_parser),
    (AlcfMagics.alcf_models, models_parser),
    (AlcfMagics.alcf, prompt_parser),
):
    _method.__doc__ = _parser().format_help()


def load(shell: InteractiveShell) -> None:
    """Register the magics, and how their values are shown: all of it, or nothing."""
    try:
        magics = AlcfMagics(shell)
    except TraitError as error:
        # Such as a list set with %config: it would keep the magics away until a restart.
        print(f"A setting of AlcfMagics was not understood, and all are left out: {error}")
        shell.config.pop("AlcfMagics", None)
        magics = AlcfMagics(shell)
    try:
        shell.register_magics(magics)
        magics.formatters.install()
        magics.cells_above.install()
        magics.logins.install()
        magics.completions.install()
        rewriting.install(shell)
    except BaseException:  # an interrupt of %reload_ext
        unload(shell)
        raise


def unload(shell: InteractiveShell) -> None:
    """Take back everything that `load` registered, and close the session."""
    magics = shell.magics_manager.registry.pop("AlcfMagics", None)
    if magics is None:
        return
    for kind, names in magics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    shell.configurables.remove(magics)
    magics.formatters.remove()
    magics.logins.close()
    magics.cells_above.remove()
    magics.completions.remove()
    rewriting.remove(shell)
    close()
