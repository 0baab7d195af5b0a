"""Answers in a real JupyterLab: hostile ones do nothing, long ones keep up, saved ones reopen."""

from __future__ import annotations

import contextlib
import html
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from alcf_magics.auth.credentials import Credentials
from alcf_magics.sandbox import Sandbox
from support.lab import Lab, require_browser
from support.proxies import noting_proxy
from support.stress import log_in, settings_of

pytestmark = pytest.mark.browser

LOAD, ASK, AGAIN = 0, 1, 2
QUESTION = "%%alcf\nTell me."
#: What the attacks run, if they run; every address that they ask for has "beacon" in it.
RUN = "top.pwned=1"


@pytest.fixture
def ready(home: Path, sandbox: Sandbox) -> Sandbox:
    """The sandbox, with a login that every kernel in `home` finds."""
    require_browser()
    settings = settings_of(sandbox)
    log_in(sandbox, Credentials(lambda: settings))
    return sandbox


def notebook(*more: str) -> nbformat.NotebookNode:
    cells = [new_code_cell(source) for source in ("%load_ext alcf_magics", *more)]
    node: nbformat.NotebookNode = new_notebook(cells=cells)
    return node


# Hostile answers


def attacks(beacon: str) -> list[str]:
    """Pieces of Markdown, each of which runs RUN or asks `beacon` for something, if it can."""
    entities = "".join(f"&#{ord(letter)};" for letter in f"javascript:{RUN}")
    hexes = "".join(f"&#x{ord(letter):x}" for letter in f"javascript:{RUN}")
    page = html.escape(f"<script>{RUN}</script>")
    return [
        # Elements that run or load something by themselves.
        f"<script>{RUN}</script>",
        f"<ScRiPt >{RUN}</sCrIpT >",
        f"<script src={beacon}/script.js></script>",
        f"<script/x>{RUN}</script>",
        f"<<script>{RUN};//<</script>",
        f'<script type="module">import "{beacon}/module.js"</script>',
        f"<img src=x onerror={RUN}>",
        f"<img/src='x'/onerror='{RUN}'/>",
        f'<img """><script>{RUN}</script>">',
        f"<img src={beacon}/img srcset='{beacon}/srcset 2x'>",
        f"<image src=x onerror={RUN}>",
        f"<svg onload={RUN}>",
        f"<svg/onload={RUN}//",
        f"<svg><script>{RUN}</script></svg>",
        f"<svg><animate onbegin={RUN} attributeName=x dur=1s>",
        f"<svg><image href='{beacon}/svg'/><use href='{beacon}/use.svg#x'/></svg>",
        f'<math><mtext><table><mglyph><style><img src=x onerror="{RUN}">',
        f'<math href="javascript:{RUN}">click</math>',
        f"<iframe srcdoc='{page}'></iframe>",
        f"<iframe src='javascript:{RUN}'></iframe>",
        f"<iframe src='{beacon}/frame'></iframe>",
        f"<object data='{beacon}/object'></object><embed src='{beacon}/embed'>",
        f"<object data='data:text/html,{page}'></object>",
        f"<body onload={RUN}>",
        f"<details open ontoggle={RUN}><summary>x</summary></details>",
        f"<video><source onerror={RUN}></video><audio src=x onerror={RUN}></audio>",
        f"<video poster='{beacon}/poster' src='{beacon}/video'></video>",
        f"<input autofocus onfocus={RUN}>",
        f"<select autofocus onfocus={RUN}><option>x</select>",
        f"<textarea autofocus onfocus={RUN}></textarea>",
        f"<marquee onstart={RUN}>x</marquee>",
        f"<div style='animation:x 1s' onanimationstart={RUN}>x</div>",
        f"<div style='background:url({beacon}/background)'>x</div>",
        f"<style>@import '{beacon}/import.css'; body{{background:url({beacon}/body)}}</style>",
        f"<link rel=stylesheet href='{beacon}/link.css'><link rel=prefetch href='{beacon}/pre'>",
        f"<base href='{beacon}/'>",
        f"<meta http-equiv=refresh content='0;url={beacon}/refresh'>",
        f"<form action='javascript:{RUN}'><button autofocus>x</button></form>",
        f"<form id=f action='{beacon}/form'></form><button form=f formaction='{beacon}/b'>x",
        f"<isindex type=image src=1 onerror={RUN}>",
        f"<table background='{beacon}/table'><td background='{beacon}/td'>x</table>",
        f'<noscript><p title="</noscript><img src=x onerror={RUN}>">',
        f"<template><img src=x onerror={RUN}></template>",
        f"--><img src=x onerror={RUN}>",
        f"<![CDATA[><img src=x onerror={RUN}>]]>",
        f"<?xml-stylesheet href='{beacon}/xml.css'?><!DOCTYPE x [<!ENTITY y SYSTEM '{beacon}'>]>",
        f"\x00<scr\x00ipt>{RUN}</script> \u2028<img src=x onerror={RUN}>",
        f"&lt;script&gt;{RUN}&lt;/script&gt; &#60;img src=x onerror={RUN}&#62;",
        f"</div></div></pre></code></span></td></table><img src=x onerror={RUN}>",
        # Links.
        f"[plain](javascript:{RUN})",
        f"[case](JaVaScRiPt:{RUN})",
        f"[tab](java&#9;script:{RUN}) [line](java&#10;script:{RUN}) [null](java&#0;script:{RUN})",
        f"[space](<  javascript:{RUN}>) [control](&#1;javascript:{RUN})",
        f"[entities]({entities}) [hexes]({hexes}) [colon](javascript&colon;{RUN})",
        f"[escaped](javascript\\:{RUN}) [percent](javascript%3A{RUN})",
        f"[vbscript](vbscript:{RUN}) [live](livescript:{RUN}) [file](file:///etc/passwd)",
        "[data](data:text/html;base64,PHNjcmlwdD50b3AucHduZWQ9MTwvc2NyaXB0Pg==)",
        f"[data](data:text/html,{page}) [svg](data:image/svg+xml,<svg onload='{RUN}'>)",
        f"[blob](blob:{beacon}) [view](view-source:{beacon}) [slashes](//{beacon[7:]}/slashes)",
        "[kernel](/api/kernels/beacon) [up](../../api/beacon) [command](commandlinker:beacon)",
        f"[reference][r1] and [r2]\n\n[r1]: javascript:{RUN}\n[r2]: data:text/html,{page} 'x'",
        f"<javascript:{RUN}> <JAVASCRIPT:{RUN}> <data:text/html,{page}> <x:{RUN}>",
        f'[title](https://example.invalid "x\\" onmouseover={RUN} y=\\"")',
        f'[quotes](https://example.invalid/"onmouseover="{RUN})',
        f"<https://example.invalid/'onclick='{RUN}>",
        f"[nested ![image](javascript:{RUN}) in](javascript:{RUN})",
        # Images, which tell somebody that they were shown.
        f"![image]({beacon}/image.png)",
        "![data](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9InRvcC5wd25lZD0xIi8+)",
        f"![relative](/files/beacon.png) ![javascript](javascript:{RUN})",
        f'![x" onerror="{RUN}](x) ![y](x "y\\" onerror=\\"{RUN}")',
        f"![reference][r3]\n\n[r3]: {beacon}/reference.png",
        f"[![badge]({beacon}/badge.svg)]({beacon}/badge-link)",
        f"![attachment](attachment:beacon.png) ![a][a]\n\n[a]: <{beacon}/a b.png>",
        # Code and its language.
        f'```"><img src=x onerror={RUN}>\nx\n```',
        f"```<script>{RUN}</script>\nx\n```",
        f"```html\n<script>{RUN}</script><img src={beacon}/code onerror={RUN}>\n```",
        f"```python onload={RUN} ' onclick={RUN} '\nprint('</code></pre><img src=x>')\n```",
        f'~~~mermaid\ngraph TD; A-->B; click A "javascript:{RUN}"\n~~~',
        f"```svg\n<svg onload={RUN}>\n```",
        f"`<script>{RUN}</script>` ``</code><img src=x onerror={RUN}>``",
        # Mathematics, which goes to the typesetter as it is.
        f"$x</script><script>{RUN}</script>$ and $<img src=x onerror={RUN}>$",
        f"$$\n</script><img src=x onerror={RUN}>\n$$",
        f"\\[ <iframe srcdoc='{page}'> \\] \\( <svg onload={RUN}> \\)",
        f"$\\href{{javascript:{RUN}}}{{x}}$ and $\\href {{data:text/html,{page}}}{{x}}$",
        f"$\\url{{javascript:{RUN}}} \\href%\n{{javascript:{RUN}}}{{x}}$",
        f"$\\def\\h{{\\href}} \\h{{javascript:{RUN}}}{{x}}$",
        "$\\class{jp-beacon}{x} \\cssId{main}{y} \\data{x=1}{z}$",
        f"$\\style{{background:url({beacon}/style)}}{{x}}$",
        f"$\\bbox[background:url({beacon}/bbox)]{{x}}$",
        f"$\\def\\b#1{{\\bbox[#1]{{x}}}} \\b{{background:url({beacon}/macro)}}$",
        f"$\\def\\c{{\\bbox}} \\c[background:url({beacon}/alias)]{{x}}$",
        f"$\\unicode{{x3c}}\\unicode[myfont,url({beacon}/font)]{{65}} \\unicode{{x3e}}$",
        f"$\\unicode[x;background:url({beacon}/inject)]{{65}}$ $\\unicode{{65}}$",
        f"$\\def\\u#1{{\\unicode#1{{65}}}} \\u{{[x;background:url({beacon}/unicode)]}}$",
        f"$\\color{{red;background:url({beacon}/colour)}}{{x}}$ $\\text{{<img src={beacon}/t>}}$",
        *(
            f"$\\{name}{{red;background:url({beacon}/{name})}}{{x}}{{y}}$"
            for name in (
                "colorbox",
                "textcolor",
                "fcolorbox",
                "cellcolor",
                "hspace",
                "raise",
                "tag",
            )
        ),
        f"$\\fcolorbox{{red}}{{blue;background:url({beacon}/box)}}{{x}}$",
        f"$\\enclose{{box}}[mathcolor=red;background:url({beacon}/enclose)]{{x}}$",
        f"$\\cancel[mathcolor='red;background:url({beacon}/cancel)']{{x}}$",
        f"$\\definecolor{{c}}{{named}}{{red;background:url({beacon}/named)}} \\color{{c}} x$",
        f"$\\rule{{1em;background:url({beacon}/rule)}}{{1em}} \\label{{x}} \\ref{{x}}$",
        f"$\\def\\v#1{{\\style#1{{x}}}} \\v{{{{background:url({beacon}/styled)}}}}$",
        f"$\\let\\w=\\unicode \\w[x;background:url({beacon}/let)]{{65}}$",
        f"$\\newcommand\\n[1]{{\\unicode[#1]{{65}}}} \\n{{x;background:url({beacon}/new)}}$",
        f"$\\unicode%\n[x;background:url({beacon}/comment)]{{65}}$",
        f"$\\unicode{{}}[x;background:url({beacon}/empty)]{{65}}$",
        f"$\\def\\e{{}} \\unicode\\e[x;background:url({beacon}/gap)]{{65}}$",
        f"$\\require{{html}} \\htmlData{{x=1}}{{y}} \\includegraphics{{{beacon}/graphics}}$",
        f"\\begin{{align}} \\href{{javascript:{RUN}}}{{x}} &= <svg onload={RUN}> \\end{{align}}",
        # Tables, footnotes, lists, headings.
        f'| <img src=x onerror={RUN}> | [x](javascript:{RUN}) |\n|:-:" onclick=x|---|\n|a|b|',
        f"| <script>{RUN}</script> | ![x]({beacon}/cell) |\n|---|---|\n|<svg onload={RUN}>|`|`|",
        f"Note[^1] and[^<img src=x onerror={RUN}>].\n\n[^1]: <img src=x onerror={RUN}> "
        f"[x](javascript:{RUN}) ![x]({beacon}/note)",
        f"- [ ] <input autofocus onfocus={RUN}>\n- [x] [x](javascript:{RUN})",
        f"# <a id=x href=javascript:{RUN} onclick={RUN}>heading</a> {{onclick={RUN}}}",
        f"~~<s onclick={RUN}>~~ **<b onmouseover={RUN}>x</b>** _<i style=x:expression({RUN})>_",
        # Templates, in case anything reads them.
        "{{constructor.constructor('top.pwned=1')()}} ${top.pwned=1} <%= top.pwned=1 %>",
        f"alcfm0x0z <span class='alcf-k' onclick={RUN}>alcfm0x1z</span> $x$",
    ]


def hostile(beacon: str) -> str:
    """Every attack, each in a paragraph of its own, and a sign that all of it was shown."""
    return "\n\n".join([*attacks(beacon), "The end of the answer."])


#: What is in an output that could run or load something, in words; of SVG and MathML too.
AUDIT = """(outputs) => {
  const found = [];
  for (const output of outputs) {
    for (const element of output.querySelectorAll('*')) {
      const name = element.localName;
      if (['script', 'img', 'image', 'iframe', 'object', 'embed', 'form', 'button', 'base', 'meta',
           'link', 'video', 'audio', 'source', 'template', 'marquee', 'textarea', 'select', 'use',
           'animate', 'portal', 'frame', 'applet', 'noscript'].includes(name)) {
        found.push(element.outerHTML.slice(0, 200));
      }
      for (const { name: key, value } of element.attributes) {
        const link = ['href', 'xlink:href', 'src', 'srcset', 'action', 'data'].includes(key);
        // Footnotes point into the page itself; all other links are of these kinds.
        if (key.startsWith('on') || (link && !/^(https?:\\/\\/|mailto:|#)/i.test(value))
            || (key === 'style' && /url|expression|import/i.test(value))) {
          found.push(`${name} ${key}=${value.slice(0, 100)}`);
        }
      }
      if (name === 'a' && !/^#/.test(element.getAttribute('href'))
          && !['http:', 'https:', 'mailto:'].includes(element.protocol)) {
        found.push(`a ${element.protocol}`);
      }
    }
  }
  return found;
}"""


@dataclass
class Watch:
    """Dialogs and errors of a page."""

    seen: list[str]

    @classmethod
    def of(cls, page: Any) -> Watch:
        watch = cls([])
        page.on("dialog", watch._dismiss)
        page.on("pageerror", lambda error: watch._note(str(error)))
        return watch

    def _dismiss(self, dialog: Any) -> None:
        self.seen.append(dialog.message)
        dialog.dismiss()

    def _note(self, error: str) -> None:
        # JupyterLab's own, for any notebook that is opened without a kernel.
        if error != "Cannot read properties of null (reading 'kernel')":
            self.seen.append(error)


def settled(page: Any) -> None:
    """Give what would run or load the time to do it."""
    page.wait_for_timeout(1500)


def assert_harmless(lab: Lab, watch: Watch, noted: Sequence[str], *, where: str) -> None:
    """Nothing ran, nothing was asked for, and nothing is there that could."""
    settled(lab.page)
    assert lab.page.evaluate("window.pwned") is None, where
    assert watch.seen == [], where
    assert list(noted) == [], where
    own = (lab.url, lab.url.replace("http", "ws", 1), "data:", "blob:")
    assert [u for u in lab.requests if not u.startswith(own) or "beacon" in u] == [], where
    assert lab.page.evaluate("document.baseURI").startswith(lab.url), where
    assert lab.outputs(ASK).evaluate_all(AUDIT) == [], where
    assert "The end of the answer." in lab.output_text(ASK), where


def mouse_over_everything(lab: Lab) -> None:
    """Point at and leave every element of the answer, and focus it."""
    lab.outputs(ASK).evaluate_all(
        """(outputs) => outputs.forEach((output) => output.querySelectorAll('*').forEach((e) => {
            for (const kind of ['mouseover', 'mouseenter', 'pointerover', 'focus', 'toggle']) {
                e.dispatchEvent(new Event(kind, { bubbles: true }));
            }
        }))"""
    )


def click_links(lab: Lab) -> list[str]:
    """Click every link of the answer; the addresses that opened, none of which is loaded."""
    opened: list[str] = []
    context = lab.page.context

    def note(route: Any) -> None:
        opened.append(route.request.url)
        route.abort()

    context.route(lambda url: not url.startswith(lab.url), note)
    pages = list(context.pages)
    links = lab.outputs(ASK).locator("a[href]:not([href^='#'])")
    for index in range(links.count()):
        links.nth(index).evaluate("(link) => link.click()")
    lab.page.wait_for_timeout(500)
    for page in context.pages:
        if page not in pages:
            page.close()
    context.unroute_all(behavior="ignoreErrors")
    return opened


@pytest.mark.slow
def test_a_hostile_answer_does_nothing(home: Path, ready: Sandbox) -> None:
    """Every attack, in answer and reasoning: fresh, reopened trusted and untrusted, inert."""
    with noting_proxy() as (url, noted):
        beacon = f"{url}/beacon"
        ready.answer = hostile(beacon)
        ready.reasoning = hostile(beacon)
        ready.pace, ready.burst = 0.02, 50
        with Lab(home, env=ready.environment, notebook=notebook(QUESTION)) as lab:
            watch = Watch.of(lab.page)
            lab.run(LOAD)
            lab.run(ASK, timeout=90)
            assert lab.outputs(ASK).count() == 1
            lab.outputs(ASK).locator("details").evaluate_all(
                "(all) => all.forEach(d => d.open = true)"
            )
            mouse_over_everything(lab)
            assert_harmless(lab, watch, noted, where="fresh")
            for address in click_links(lab):
                assert address.startswith(("http://", "https://", "mailto:"))
            settled(lab.page)
            assert lab.page.evaluate("window.pwned") is None
            lab.requests[:] = [u for u in lab.requests if u.startswith(lab.url)]
            noted.clear()
            lab.save()
            for trusted in (True, False):
                lab.reopen(trusted=trusted)
                lab.outputs(ASK).first.wait_for(timeout=10_000)
                lab.outputs(ASK).locator("details").evaluate_all(
                    "(all) => all.forEach(d => d.open = true)"
                )
                mouse_over_everything(lab)
                assert_harmless(lab, watch, noted, where=f"reopened, trusted={trusted}")


@pytest.mark.slow
def test_a_hostile_answer_does_nothing_while_it_comes(home: Path, ready: Sandbox) -> None:
    """The same attacks character by character, half an element at a time, drawn often."""
    with noting_proxy() as (url, noted):
        # Every attack is in the text's unfinished part for some draws: no blank line ends it.
        text = hostile(f"{url}/beacon").replace("\n\n", "\n \n")
        ready.answer = [text[i : i + 7] for i in range(0, len(text), 7)]
        ready.pace, ready.burst = 0.05, 12
        with Lab(home, env=ready.environment, notebook=notebook(QUESTION)) as lab:
            watch = Watch.of(lab.page)
            lab.run(LOAD)
            lab.start(ASK)
            deadline = time.monotonic() + 120
            found: list[str] = []
            # Whether it is done is asked first, so that the last look is at the whole.
            done = False
            while not done and time.monotonic() < deadline:
                done = lab.page.evaluate("!window.lab.running")
                found += lab.outputs(ASK).evaluate_all(AUDIT)
                lab.page.wait_for_timeout(100)
            assert done
            assert found == []
            lab.wait_idle()
            assert_harmless(lab, watch, noted, where="streamed")


@pytest.mark.slow
def test_a_hostile_answer_does_nothing_as_html(home: Path, ready: Sandbox) -> None:
    """As nbconvert writes it, the page asks for what any notebook's page asks for, and runs it."""
    from nbconvert import HTMLExporter

    with noting_proxy() as (url, noted):
        ready.answer = ready.reasoning = hostile(f"{url}/beacon")
        ready.pace, ready.burst = 0.02, 50
        with Lab(home, env=ready.environment, notebook=notebook(QUESTION)) as lab:
            lab.run(LOAD)
            lab.run(ASK, timeout=90)
            lab.save()
            saved = nbformat.read(lab.path, as_version=4)
            control = notebook("1 + 1")
            noted.clear()  # the page of JupyterLab has tests of its own
            asked: dict[str, set[str]] = {}
            for name, node in (("control", control), ("answer", saved)):
                body, _ = HTMLExporter().from_notebook_node(node)
                path = home / f"{name}.html"
                path.write_text(body, encoding="utf-8")
                asked[name] = requests_of(lab, path)
            assert asked["answer"] == asked["control"]
            assert noted == []


def requests_of(lab: Lab, path: Path) -> set[str]:
    """What a file asks for when it is opened; nothing but the file itself is served."""
    page = lab.page.context.new_page()
    try:
        asked: set[str] = set()
        watch = Watch.of(page)
        page.on("request", lambda request: asked.add(request.url))
        page.route(lambda url: not url.startswith("file:"), lambda route: route.abort())
        page.goto(path.as_uri(), wait_until="load")
        settled(page)
        assert page.evaluate("window.pwned") is None
        # The template's own script needs libraries from the network; those errors are not ours.
        assert [seen for seen in watch.seen if "is not defined" not in seen] == []
        assert page.evaluate("document.baseURI") == path.as_uri()
        areas = page.locator(".jp-OutputArea-output")
        assert areas.evaluate_all(AUDIT) == []
        if path.name == "answer.html":
            assert "The end of the answer." in "\n".join(areas.all_inner_texts())
        return {url for url in asked if not url.startswith(("file:", "data:"))}
    finally:
        page.close()


# Long answers

#: Measures in the page: gaps between frames, the number of outputs, how far the reader was moved,
#: and when the text of the end was first there.
PROBE = """([index, end]) => {
  const cell = document.querySelectorAll('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell')[index];
  let scroller = cell.parentElement;
  while (scroller && !(scroller.scrollHeight > scroller.clientHeight
      && /auto|scroll/.test(getComputedStyle(scroller).overflowY))) {
    scroller = scroller.parentElement;
  }
  const probe = window.probe = {
    worst: 0, frames: 0, gaps: [], most: 0, moved: 0, end: null, on: true, anchor: null,
    scroller, updates: 0, moves: [],
  };
  const started = performance.now();
  let last = started;
  const area = cell.querySelector('.jp-Cell-outputArea') || cell;
  const observer = new MutationObserver(() => { probe.updates += 1; });
  observer.observe(area, { childList: true, subtree: true });
  const step = (now) => {
    if (!probe.on) { observer.disconnect(); return; }
    probe.frames += 1;
    // The first frames after the probe was set belong to setting it.
    if (now - started > 300) {
      probe.worst = Math.max(probe.worst, now - last);
      if (now - last > 100) {
        probe.gaps.push([Math.round(now - started), Math.round(now - last),
          cell.querySelectorAll('.jp-OutputArea-child').length]);
      }
    }
    last = now;
    const outputs = cell.querySelectorAll('.jp-OutputArea-child');
    probe.most = Math.max(probe.most, outputs.length);
    if (probe.anchor) {
      const element = document.querySelectorAll(probe.anchor.selector)[probe.anchor.nth];
      const move = element ? element.getBoundingClientRect().top - probe.anchor.top : NaN;
      if (!probe.moves.length || probe.moves[probe.moves.length - 1][1] !== move) {
        probe.moves.push([Math.round(now - started), move, outputs.length,
          Math.round(probe.scroller.scrollTop), probe.scroller.scrollHeight]);
      }
      // An element that is missing in a frame that people see counts as moved out of sight.
      probe.moved = Math.max(probe.moved, Number.isNaN(move) ? 9999 : Math.abs(move));
    }
    const text = probe.end === null && outputs.length ? area.textContent : '';
    // A printed text has no box of ours; an answer is done when its one output is no longer busy.
    const boxes = text ? area.querySelectorAll('.alcf-answer').length : 0;
    if (text.includes(end) && !area.querySelector('[aria-busy=true]')
        && (boxes === 0 || outputs.length === 1)) {
      probe.end = Date.now() / 1000;
    }
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}"""

#: Scrolls so that the element's top is at a part of the window's height, and watches it there.
SCROLL = """([selector, nth, part]) => {
  const probe = window.probe;
  const element = document.querySelectorAll(selector)[nth];
  const box = probe.scroller.getBoundingClientRect();
  probe.scroller.scrollTop += element.getBoundingClientRect().top - box.top - box.height * part;
  const anchor = { selector, nth, top: element.getBoundingClientRect().top };
  probe.before = probe.scroller.scrollTop;
  probe.anchor = anchor;
  return [probe.scroller.scrollTop, element.getBoundingClientRect().top - box.top];
}"""

READ = """() => {
  const { worst, frames, gaps, most, moved, moves, end, updates, scroller, before } = window.probe;
  window.probe.on = false;
  return { worst, frames, gaps, most, moved, moves, end, updates,
           scrolled: before === undefined ? 0 : Math.abs(scroller.scrollTop - before) };
}"""

CELL = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell"
END = "Thatistheend."


def prose(characters: int) -> str:
    """A long answer of the kind that models give, exactly so long, that says when it ends.

    Without mathematics: MathJax typesets all formulas of an output in one task, which took 230
    to 520 ms for a hundred of them in the finished answer, and is nothing a kernel can divide.
    """
    section = r"""## Section {n}: collective operations

An `MPI_Allreduce` combines values from **all** ranks and gives the result to *each* of them. With
many ranks the cost is about a latency for each step and a bandwidth for each byte, which for large
messages becomes twice the bandwidth, however many ranks there are.

- ring: bandwidth is optimal, latency grows with the number of ranks
- tree: latency is optimal
  - a nested point with `code` and a [link](https://example.invalid/{n})

1. measure first
2. then choose

```python
def step_{n}(comm, values):
    total = comm.allreduce(sum(values))  # one number from each rank
    return [value / total for value in values]
```

| ranks | ring | tree |
|---|---|---|
| 64 | {n} ms | 4 ms |

"""
    text = "".join(section.format(n=n) for n in range(1, characters // 700 + 2))
    tail = f"\n\n{END}"
    # Cut at a blank line, and filled with a paragraph: no element is left open before the end.
    text = text[: text.rfind("\n\n## ", 0, characters - len(tail) - 200)]
    filling = "\n\n" + "A last paragraph goes on for as long as it has to. " * 40
    return text + filling[: characters - len(tail) - len(text)] + tail


def in_pieces(text: str, size: int = 5) -> list[str]:
    return [text[i : i + size] for i in range(0, len(text), size)]


CONTROL = """\
import json, pathlib, time
pieces = json.loads(pathlib.Path("pieces.json").read_text())
begun = time.monotonic()
for number, piece in enumerate(pieces):
    print(piece, end='')
    if number % BURST == BURST - 1:
        time.sleep(max(0.0, begun + PACE * (number + 1) / BURST - time.monotonic()))
pathlib.Path("ended").write_text(str(time.time()))
"""


@dataclass
class Run:
    """What the page showed while a cell streamed: seconds of lag, milliseconds of the gaps."""

    lag: float
    worst: float
    most: int
    moved: float
    scrolled: float
    frames: int
    updates: int
    seconds: float
    gaps: list[list[int]]

    def __str__(self) -> str:
        return (
            f"lag {self.lag:.2f} s, worst gap {self.worst:.0f} ms, outputs at most {self.most}, "
            f"moved {self.moved:.1f} px, scrolled {self.scrolled:.1f} px, {self.frames} frames, "
            f"{self.updates} mutations, {self.seconds:.1f} s, gaps [at, ms, outputs] {self.gaps}"
        )


@contextlib.contextmanager
def probed(lab: Lab, index: int) -> Iterator[dict[str, Any]]:
    """Measure in the page; the dictionary is filled at the end."""
    result: dict[str, Any] = {}
    lab.page.evaluate(PROBE, [index, END])
    try:
        yield result
    finally:
        result |= lab.page.evaluate(READ)


def wait_for_end(lab: Lab, seconds: float) -> None:
    lab.page.wait_for_function("window.probe.end !== null", timeout=seconds * 1000, polling=50)
    # What moves the reader may come after the text: layout, mathematics.
    lab.page.wait_for_timeout(1500)


def last_chunk_at(lab: Lab, ready: Sandbox, index: int) -> float:
    """The wall clock when the kernel got the last chunk, from the record in the saved file."""
    lab.save()
    (output,) = lab.notebook()["cells"][index]["outputs"]
    record = output["metadata"]["alcf_magics"]
    # The sandbox sends the first chunk when the request arrives; until then the kernel may have
    # waited for its turn. Kernel, sandbox and this process share one clock.
    seconds = record["seconds"] - record["first_token_seconds"]
    arrived = [r.at for r in ready.requests if r.path.endswith("/chat/completions")][-1]
    return arrived + float(seconds) + time.time() - time.monotonic()


FILLER = "\n\n".join(f"Line {n} of what the reader reads." for n in range(40))


def streaming_notebook(*cells: str) -> nbformat.NotebookNode:
    """Text to scroll to before each cell that streams."""
    node = notebook()
    for cell in cells:
        node.cells += [new_markdown_cell(FILLER), new_code_cell(cell)]
    return node


def start_reading(lab: Lab, index: int, part: float = 0.6) -> None:
    """Scroll so that the cell being written begins at this part of the window's height."""
    _, top = lab.page.evaluate(SCROLL, [CELL, index, part])
    assert 0 < top < 1000


def print_only(lab: Lab, index: int, seconds: float) -> Run:
    """Run the control cell, and measure."""
    begun = time.monotonic()
    with probed(lab, index) as seen:
        lab.start(index)
        lab.page.wait_for_timeout(1500)
        start_reading(lab, index)
        wait_for_end(lab, seconds)
    lab.wait_idle()
    ended = float((lab.path.parent / "ended").read_text())
    return run_of(seen, ended, begun)


def run_of(seen: dict[str, Any], ended: float, begun: float) -> Run:
    return Run(
        lag=seen["end"] - ended,
        worst=seen["worst"],
        most=seen["most"],
        moved=seen["moved"],
        scrolled=seen["scrolled"],
        frames=seen["frames"],
        updates=seen["updates"],
        seconds=time.monotonic() - begun,
        gaps=seen["gaps"],
    )


@pytest.mark.clock
@pytest.mark.slow
def test_a_long_answer_keeps_up_with_printing(home: Path, ready: Sandbox) -> None:
    """20,000 characters at 200 chunks a second: as soon done, as smooth, and nobody is moved."""
    pieces = in_pieces(prose(20_000))
    assert len(pieces) == 4000
    ready.answer, ready.burst, ready.pace = pieces, 20, 0.1
    control = CONTROL.replace("BURST", "20").replace("PACE", "0.1")
    lines = streaming_notebook(control, QUESTION)
    with Lab(home, env=ready.environment, notebook=lines) as lab:
        (lab.path.parent / "pieces.json").write_text(json.dumps(pieces))
        lab.run(LOAD)
        printed = print_only(lab, 2, 60)
        print("\nprint-only:", printed)
        lab.cell(2).evaluate("(cell) => cell.scrollIntoView()")
        begun = time.monotonic()
        with probed(lab, 4) as seen:
            lab.start(4)
            lab.page.wait_for_timeout(1500)
            start_reading(lab, 4)
            wait_for_end(lab, 60)
        lab.wait_idle()
        answered = run_of(seen, last_chunk_at(lab, ready, 4), begun)
        print("the answer:", answered)
        assert lab.outputs(4).count() == 1
        assert answered.most < 50
        assert answered.lag <= printed.lag + 1.0
        assert answered.worst <= max(200.0, 2 * printed.worst)
        assert answered.moved <= 2
        assert answered.scrolled <= 2


@pytest.mark.clock
@pytest.mark.slow
def test_a_reader_in_the_middle_of_the_answer_is_not_moved(home: Path, ready: Sandbox) -> None:
    """What the reader reads in a finished part stays where it is while more comes."""
    ready.answer, ready.burst, ready.pace = in_pieces(prose(10_000)), 20, 0.1
    with Lab(home, env=ready.environment, notebook=streaming_notebook(QUESTION)) as lab:
        lab.run(LOAD)
        with probed(lab, 2) as seen:
            lab.start(2)
            heading = ".jp-OutputArea-output h2"
            lab.page.wait_for_function(
                f"document.querySelectorAll('{heading}').length > 6", timeout=30_000
            )
            lab.page.evaluate(SCROLL, [heading, 2, 0.3])
            wait_for_end(lab, 60)
        print(f"\nmoves, as [ms, px, outputs, top, height]: {seen['moves'][:40]}")
        # When the outputs give way to one, JupyterLab empties the cell before it measures it, and
        # scrolls up if too little is left below: this holds only until then.
        streaming = [move for _, move, outputs, *_ in seen["moves"] if outputs > 1]
        assert streaming
        assert all(abs(move) <= 2 for move in streaming)


# Saved answers, and reasoning

SHORT = r"""# An answer

Some **text** with $e^{i\pi} = -1$ and

$$\sum_{k=1}^n k = \frac{n(n+1)}{2}$$

| ranks | time |
|---|---|
| 64 | 4 ms |

```python
def half(x):
    return x / 2
```
"""


@pytest.mark.parametrize("trusted", [True, False])
def test_a_saved_answer_reopens_complete(home: Path, ready: Sandbox, trusted: bool) -> None:
    """Without a kernel the file still shows text, table, code and typeset mathematics."""
    ready.answer = SHORT
    with Lab(home, env=ready.environment, notebook=notebook(QUESTION)) as lab:
        lab.run(LOAD)
        lab.run(ASK)
        assert_complete(lab)
        shown = lab.output_text(ASK)
        lab.save()
        lab.reopen(trusted=trusted)
        lab.outputs(ASK).first.wait_for(timeout=10_000)
        assert_complete(lab)
        assert lab.output_text(ASK) == shown


def assert_complete(lab: Lab) -> None:
    output = lab.outputs(ASK)
    assert output.count() == 1
    output.locator("mjx-container").nth(1).wait_for(timeout=10_000)
    assert output.locator("h1").inner_text().startswith("An answer")
    assert output.locator("strong").inner_text() == "text"
    assert output.locator("td").all_inner_texts() == ["64", "4 ms"]
    assert output.locator("pre code").inner_text() == "def half(x):\n    return x / 2\n"
    assert output.locator("mjx-container").count() == 2
    assert "\\frac" not in lab.output_text(ASK)
    assert "$" not in lab.output_text(ASK)
    assert "tokens in" in lab.output_text(ASK)


@pytest.mark.slow
def test_reasoning_opens_and_stays_open(home: Path, ready: Sandbox) -> None:
    """A click unfolds it, more arrives in it, and it is open when the answer is complete.

    What nobody opened is folded away.
    """
    ready.reasoning = [f"thought {n:03} " for n in range(300)]
    ready.answer = ["The", " answer", " itself."]
    ready.burst, ready.pace = 2, 0.1
    with Lab(home, env=ready.environment, notebook=notebook(QUESTION, QUESTION)) as lab:
        lab.run(LOAD)
        lab.start(ASK)
        cell = lab.cell(ASK)
        fold = cell.get_by_text("Reasoning", exact=True)
        fold.wait_for(timeout=15_000)
        assert not cell.get_by_text("thought 000").is_visible()
        fold.click()
        cell.get_by_text("thought 000").wait_for(timeout=5000)
        # It is looked at all the time: a redraw that folds it for a moment is noticed.
        closed = lab.page.evaluate(
            """async (index) => {
                const cell = document.querySelectorAll('.jp-Cell')[index];
                let closed = 0;
                const end = performance.now() + 3000;
                while (performance.now() < end) {
                    await new Promise(requestAnimationFrame);
                    if (!cell.innerText.includes('thought 000')) closed += 1;
                }
                return closed;
            }""",
            ASK,
        )
        assert closed == 0
        cell.get_by_text("thought 080").wait_for(timeout=10_000)
        assert lab.page.evaluate("window.lab.running") == 1
        lab.wait_idle(60)
        assert lab.outputs(ASK).count() == 1
        details = lab.outputs(ASK).locator("details")
        assert details.count() == 1
        assert details.locator("summary").inner_text() == "Reasoning"
        assert details.get_attribute("open") is not None
        assert "thought 299" in lab.output_text(ASK)
        assert "The answer itself." in lab.output_text(ASK)
        ready.pace = 0.01
        lab.start(AGAIN)
        lab.cell(AGAIN).get_by_text("Reasoning", exact=True).wait_for(timeout=15_000)
        lab.wait_idle(60)
        folded_away = lab.outputs(AGAIN).locator("details")
        assert folded_away.get_attribute("open") is None
        assert "thought 299" in (folded_away.text_content() or "")
        assert "thought" not in lab.output_text(AGAIN)
        folded_away.locator("summary").click()
        folded_away.get_by_text("thought 299").wait_for(timeout=5000)
        lab.save()
        opened, folded = (
            "".join(cell["outputs"][0]["data"]["text/html"]) for cell in lab.notebook()["cells"][1:]
        )
        assert (
            opened.replace("<details open>", "<details>").split("<div role")[0]
            == (folded.split("<div role")[0])
        )


def test_without_reasoning_there_is_no_fold(home: Path, ready: Sandbox) -> None:
    """An answer of text alone has no folded block, live or in the end."""
    ready.answer = ["word "] * 60
    ready.burst, ready.pace = 2, 0.1
    with Lab(home, env=ready.environment, notebook=notebook(QUESTION)) as lab:
        lab.run(LOAD)
        lab.start(ASK)
        lab.cell(ASK).get_by_text("word word").first.wait_for(timeout=15_000)
        assert lab.cell(ASK).get_by_text("Reasoning").count() == 0
        lab.wait_idle(60)
        assert lab.cell(ASK).get_by_text("Reasoning").count() == 0
        assert lab.outputs(ASK).locator("details").count() == 0
