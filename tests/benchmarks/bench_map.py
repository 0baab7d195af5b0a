"""What `map` gets through, beside AsyncOpenAI and bare httpx, against one server in the same run.

    python tests/benchmarks/bench_map.py
    python tests/benchmarks/bench_map.py --prompts 10000 --in-flight 128

Prints requests a second: `map` without a limit, AsyncOpenAI with as many at a time, and as many
httpx clients as that, each with one connection, which do nothing but post and read JSON. The server
answers from another process, at once.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx
import openai

from alcf_magics import Completion, Session
from benchmarks.bench_reading import fast_session


@dataclass(frozen=True)
class Rates:
    """Requests a second, the most of some runs."""

    mapped: float
    openai: float
    bare: float

    def __str__(self) -> str:
        return (
            f"map {self.mapped:,.0f}/s, AsyncOpenAI {self.openai:,.0f}/s "
            f"({self.mapped / self.openai:.2f} of it), bare httpx {self.bare:,.0f}/s "
            f"({self.mapped / self.bare:.2f} of it)"
        )


def measure(session: Session, prompts: int, in_flight: int, repeat: int = 3) -> Rates:
    """All three in turn, so that a machine that slows down slows all."""
    session.choose(requests_per_second=0)
    base_url = session.resolve().base_url
    texts = [f"Is {number} a prime?" for number in range(prompts)]
    mapped, official, bare = [], [], []
    for _ in range(repeat):
        mapped.append(rate(texts, lambda: _map(session, texts, in_flight)))
        official.append(rate(texts, lambda: asyncio.run(_openai(base_url, texts, in_flight))))
        bare.append(rate(texts, lambda: asyncio.run(_bare(base_url, texts, in_flight))))
    return Rates(max(mapped), max(official), max(bare))


def rate(texts: list[str], call: Callable[[], None]) -> float:
    begun = time.perf_counter()
    call()
    return len(texts) / (time.perf_counter() - begun)


def _map(session: Session, texts: list[str], in_flight: int) -> None:
    results = session.map(texts, in_flight=in_flight)
    assert all(isinstance(one, Completion) and one.finish_reason == "stop" for one in results)


async def _openai(base_url: str, texts: list[str], in_flight: int) -> None:
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with openai.AsyncOpenAI(base_url=base_url, api_key="x", http_client=http) as client:

        async def ask(text: str) -> None:
            answer = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": text}]
            )
            assert answer.choices[0].message.content

        await _workers(ask, texts, in_flight)


async def _bare(base_url: str, texts: list[str], in_flight: int) -> None:
    url = f"{base_url}/chat/completions"
    context = httpx.create_ssl_context()
    left = iter(texts)

    async def work() -> None:
        async with httpx.AsyncClient(trust_env=False, verify=context) as client:
            for text in left:
                body = {"model": "m", "messages": [{"role": "user", "content": text}]}
                answer = await client.post(url, json=body, headers={"Authorization": "Bearer x"})
                assert answer.json()["choices"][0]["message"]["content"]

    await asyncio.gather(*(work() for _ in range(in_flight)))


async def _workers(ask: Callable[[str], Awaitable[None]], texts: list[str], count: int) -> None:
    left: Iterator[str] = iter(texts)

    async def work() -> None:
        for text in left:
            await ask(text)

    await asyncio.gather(*(work() for _ in range(count)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as home,
        fast_session(Path(home), "short_server") as session,
    ):
        print(measure(session, options.prompts, options.in_flight, options.repeat))


if __name__ == "__main__":
    main()
