"""Clusters and their models, as data, and what the catalog routes say about them."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone, tzinfo
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .envelopes import JSON

DEFAULT_CLUSTERS: Mapping[str, str] = MappingProxyType(
    {"sophia": "vllm", "metis": "api", "minerva": "api"}
)
LISTS = ("running", "queued", "stopped", "others", "private_batch_running", "private_batch_queued")
LIST_OF_STATE = {
    "running": "running",
    "starting": "running",  # a starting model stands under running, with its own Model Status
    "queued": "queued",
    "stopped": "stopped",
}


@dataclass(frozen=True)
class Model:
    """A model of a cluster. `state` is "running", "starting", "queued", "stopped" or "offline".

    `job` groups models served by one job, `age` is how long that job had been running when the
    sandbox started, and `starts` when one that is queued may start after that, in seconds.
    `batches` says whether it can be asked in batches, for which it need not run. `window` is how
    many tokens prompt and answer may have together.
    """

    name: str
    state: str = "running"
    job: int = 0
    age: float = 0.0
    starts: float = 2700.0
    title: str = ""
    description: str = ""
    version: str = "1.0"
    capabilities: tuple[str, ...] = ("chat",)
    reasoning: bool = False
    batches: bool = False
    window: int = 131_072

    @property
    def vision(self) -> bool:
        """Whether the model takes images."""
        return "vision" in self.capabilities

    @property
    def live(self) -> bool:
        """Whether the model takes prompts now."""
        return self.state == "running"


@dataclass(frozen=True)
class Cluster:
    """A cluster. `kind` is "compute" (behind Globus Compute) or "direct" (a direct endpoint)."""

    name: str
    framework: str
    kind: str
    models: tuple[Model, ...]
    routes: tuple[str, ...]

    def model(self, name: str) -> Model | None:
        """The model of this name; the gateway compares slugs, so case does not count."""
        wanted = slug(name)
        return next((model for model in self.models if slug(model.name) == wanted), None)

    def endpoint(self, model: str) -> str:
        """The gateway's own name for a model on this cluster, as its messages show it."""
        return f"{self.name}-{self.framework}-{slug(model)}"


COMPUTE_MODELS = (
    Model(
        "meta-llama/Meta-Llama-3.1-8B-Instruct",
        job=100,
        age=42202,
        title="Llama 3.1 8B Instruct",
        description="Meta model",
        capabilities=("chat", "tools"),
        batches=True,
    ),
    Model(
        "openai/gpt-oss-120b",
        job=100,
        age=42202,
        title="gpt-oss 120B",
        description="OpenAI open model",
        capabilities=("chat", "reasoning", "tools"),
        reasoning=True,
        batches=True,
    ),
    Model(
        "google/gemma-4-31B-it",
        "starting",
        job=101,
        age=250,
        title="Gemma 4 31B",
        capabilities=("chat", "vision"),
    ),
    Model(
        "mistralai/Mistral-Large-Instruct-2407",
        "queued",
        job=102,
        title="Mistral Large",
        batches=True,
    ),
    Model(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        job=103,
        age=7390,
        title="SmolLM2 135M",
        batches=True,
    ),
    Model(
        "Salesforce/SFR-Embedding-Mistral",
        job=104,
        age=11465,
        title="SFR Embedding",
        capabilities=("embeddings",),
    ),
    Model("argonne/AuroraGPT-7B", "offline", title="AuroraGPT 7B"),
)
DIRECT_MODELS = (
    (
        Model("gpt-oss-120b", description="OpenAI open model", reasoning=True),
        Model(
            "Llama-4-Maverick-17B-128E-Instruct",
            description="Meta model",
            version="2",
            capabilities=("chat", "vision"),
        ),
        Model("DeepSeek-R1", "stopped", description="reasoning model", version="1"),
    ),
    (
        Model(
            "google/gemma-4-31B-it",
            description="Google model",
            version="v1",
            capabilities=("chat", "vision"),
        ),
        Model("Inkling-Small", "stopped", description="small model", version="v1"),
    ),
)
#: The one that can be real: where its server runs, it is the second cluster's.
REAL_MODEL = Model(
    "SmolLM2-135M-Instruct",
    title="SmolLM2 135M",
    description="a real model on this machine: small, and its facts are often wrong",
)
COMPUTE_ROUTES = ("chat/completions", "completions", "embeddings")
DIRECT_ROUTES = ("chat/completions", "completions")


def slug(name: str) -> str:
    """A model name as the gateway compares it: lower case, punctuation dropped."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", name.lower())).strip("-_")


def with_real_model(clusters: tuple[Cluster, ...]) -> tuple[Cluster, ...]:
    """The same with the real model on the second cluster (or the only one), and no namesake."""
    home = clusters[:2][-1].name
    return tuple(
        replace(
            cluster,
            models=(
                *((REAL_MODEL,) if cluster.name == home else ()),
                *(m for m in cluster.models if not m.name.endswith(f"/{REAL_MODEL.name}")),
            ),
        )
        for cluster in clusters
    )


def build(names: Mapping[str, str]) -> tuple[Cluster, ...]:
    """Clusters from a mapping of cluster name to framework; the first is behind Globus Compute."""
    if not names:
        raise ValueError("A sandbox needs at least one cluster.")
    built = []
    for position, (name, framework) in enumerate(names.items()):
        if position == 0:
            built.append(Cluster(name, framework, "compute", COMPUTE_MODELS, COMPUTE_ROUTES))
        else:
            models = DIRECT_MODELS[min(position, len(DIRECT_MODELS)) - 1]
            built.append(Cluster(name, framework, "direct", models, DIRECT_ROUTES))
    return tuple(built)


def list_endpoints(clusters: tuple[Cluster, ...]) -> JSON:
    """The answer of /list-endpoints."""
    return {
        "clusters": {
            cluster.name: {
                "base_url": f"/resource_server/{cluster.name}",
                "frameworks": {
                    cluster.framework: {
                        "models": sorted(model.name for model in cluster.models),
                        "endpoints": [f"/v1/{route}" for route in cluster.routes],
                    }
                },
            }
            for cluster in clusters
        }
    }


def list_models(cluster: Cluster, models: tuple[Model, ...]) -> list[JSON]:
    """The answer of /{cluster}/models; only some models have a name and a description."""
    listed = []
    for model in sorted(models, key=lambda model: model.name.lower()):
        entry: JSON = {"id": model.name, "object": "model"}
        entry |= {"cluster": cluster.name, "framework": cluster.framework}
        if model.title:
            entry["display_name"] = model.title
            entry["description"] = model.description or model.title
            entry["capabilities"] = list(model.capabilities)
        entry["rate_limit_token_per_minute"] = 100000
        entry["rate_limit_token_per_minute_per_user"] = 60000
        listed.append(entry)
    return listed


def jobs(cluster: Cluster, since: float) -> JSON:
    """The answer of /{cluster}/jobs. `since` is when the sandbox started, in seconds of the epoch:
    job ages grow from there, as do those of a real scheduler."""
    shape = {"compute": _compute_jobs, "direct": _direct_jobs}[cluster.kind]
    return shape(cluster, since)


def no_jobs(cluster: Cluster) -> JSON:
    """All lists empty, as when the scheduler query failed."""
    status: JSON = {"free_nodes": -1} if cluster.kind == "compute" else {}
    return {**{name: [] for name in LISTS}, "cluster_status": status}


def maintenance_jobs(cluster: Cluster) -> JSON:
    """Under maintenance every model is stopped, and no entry has a Model Status."""
    answer = no_jobs(cluster)
    answer["stopped"] = [
        {"Models": name, "Framework": cluster.framework, "Cluster": cluster.name}
        for name in sorted(model.name for model in cluster.models)
    ]
    answer["cluster_status"] = {}
    return answer


def _compute_jobs(cluster: Cluster, since: float) -> JSON:
    answer = no_jobs(cluster)
    scheduled: dict[object, list[Model]] = {}
    for model in cluster.models:
        if model.state in LIST_OF_STATE:
            # A model that no job of the table holds (it is listed as offline) has a job of its own.
            scheduled.setdefault(model.job or model.name, []).append(model)
    for number, models in enumerate(scheduled.values(), start=100):
        first = models[0]
        entry: JSON = {
            "Models": ",".join(model.name for model in models),
            "Framework": cluster.framework,
            "Cluster": cluster.name,
            "Model Status": first.state,
            "Job ID": f"{number}.{cluster.name}-pbs-01.lab.alcf.anl.gov",
        }
        if first.state == "queued":
            start = _chicago(since + first.starts)
            entry |= {
                "Job State": "Q",
                "Host Name": "N/A",
                "Job Comments": "Not Running: Insufficient amount of resource: ngpus",
                "Nodes Reserved": "1",
                "Estimated Start Time": f"{time.asctime(start.timetuple())} (Chicago time)",
            }
        else:
            start = _chicago(since - first.age)
            host = f"{cluster.name}-gpu-{number - 89}"
            day = f"{time.asctime(start.timetuple())[:8]}{start:%d} at {start:%H:%M}"
            entry |= {
                "Job State": "R",
                "Host Name": f"{host}/0*256",
                "Job Comments": f"Job run at {day} on ({host}:ncpus=256)",
                "Nodes Reserved": "1",
                "Walltime": _clock(time.time() - since + first.age),
            }
        answer[LIST_OF_STATE[first.state]].append(entry)
    answer["cluster_status"] = {"free_nodes": 3}
    return answer


def _direct_jobs(cluster: Cluster, since: float) -> JSON:
    answer = no_jobs(cluster)
    for model in cluster.models:
        answer[LIST_OF_STATE[model.state]].append(
            {
                "Models": model.name,
                "Framework": cluster.framework,
                "Cluster": cluster.name,
                "Model Status": model.state,
                "Description": f"{model.name} - {model.description}",
                "Model Version": model.version,
            }
        )
    answer["cluster_status"] = {
        "cluster": cluster.name,
        "total_models": len(cluster.models),
        "live_models": len(answer["running"]),
        "stopped_models": len(answer["stopped"]),
    }
    return answer


def _clock(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours:02d}:{rest // 60:02d}:{rest % 60:02d}"


def _chicago(moment: float) -> datetime:
    zone: tzinfo
    try:
        zone = ZoneInfo("America/Chicago")
    except ZoneInfoNotFoundError:  # a machine without a time zone database
        zone = timezone(timedelta(hours=-6))
    return datetime.fromtimestamp(moment, zone)
