"""The files that others read, read by their tools: Docker, Compose, systemd, Prometheus, Grafana, GitHub and cibuildwheel."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "stream" / "deploy"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())


def read_by(tool: str, *arguments: str | Path) -> str:
    """What a tool prints about a file; it must not complain."""
    found = shutil.which(tool, path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin")
    if not found:
        pytest.skip(f"there is no {tool}: `make deploy` installs it, if it is on PyPI")
    done = subprocess.run([found, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_hadolint_reads_the_dockerfile() -> None:
    read_by("hadolint", DEPLOY / "Dockerfile")


def test_compose_is_of_its_schema() -> None:
    read_by("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


def test_compose_names_only_what_there_is() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for service in compose["services"].values():
        assert (DEPLOY / service.get("build", {}).get("context", ".")).resolve() in (ROOT, DEPLOY)
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in compose["volumes"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_of_its_schema(workflow: Path) -> None:
    read_by("check-jsonschema", "--builtin-schema", "vendor.github-workflows", workflow)


@pytest.mark.parametrize("platform", ["linux", "macos"])
def test_cibuildwheel_builds_every_python(platform: str) -> None:
    builds = read_by("cibuildwheel", "--print-build-identifiers", "--platform", platform, "--archs", "auto64").split()
    assert {build.partition("-")[0] for build in builds} >= {"cp311", "cp312", "cp313", "cp314"}
    assert platform != "linux" or {"manylinux", "musllinux"} <= {re.split("[-_]", build)[1] for build in builds}


@pytest.mark.parametrize("unit", sorted(DEPLOY.glob("*.service")), ids=lambda path: path.name)
def test_systemd_reads_the_unit(unit: Path, tmp_path: Path) -> None:
    local = tmp_path / unit.name.replace("@", "@8081")
    local.write_text(unit.read_text().replace("/opt/deltabook/bin/deltabook", sys.executable))
    read_by("systemd-analyze", "verify", "--man=no", local)


def test_grafana_reads_the_dashboard() -> None:
    builders = pytest.importorskip("grafana_foundation_sdk.models.dashboard", reason="there is no Grafana SDK: `make deploy` installs it")
    dashboard = builders.Dashboard.from_json(json.loads((DEPLOY / "grafana" / "dashboard.json").read_text()))
    assert dashboard.title == "deltabook"
    assert len(dashboard.panels) == 15


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    sources = "".join(path.read_text() for room in ("venue", "market", "cluster") for path in (ROOT / "stream" / room).glob("*.py"))
    asked = set(re.findall(r"\bdeltabook_\w+", (DEPLOY / "grafana" / "dashboard.json").read_text()))
    assert {name for name in asked if f'"{re.sub("_(total|bucket)$", "", name)}"' not in sources} == set()


def test_grafana_and_prometheus_are_told_of_each_other() -> None:
    for path in (DEPLOY / "prometheus.yaml", *DEPLOY.glob("grafana/provisioning/*/*.yaml")):
        assert yaml.safe_load(path.read_text())
