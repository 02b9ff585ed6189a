"""What deploy/ says is well-formed, hardened, and true of this repository. No container engine is asked."""

import fnmatch
import re
import shutil
import subprocess
import tomllib
from itertools import pairwise

import pytest
from packaging.requirements import Requirement

from stemwright.server import settings
from stemwright.server.api import GRACE_SECONDS

from .reading import DEPLOY, ROOT, compose, environment, healthcheck, instructions, last, rendered, stage, unit

SECRETS = {"POSTGRES_PASSWORD": "p", "S3_SECRET": "s"}
CONDITIONS = {"service_healthy", "service_started", "service_completed_successfully"}


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_the_image_runs_as_nobody_special(target: str) -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last(target, "USER"))
    assert last(target, "ENTRYPOINT") == '["stemwright"]'
    assert last(target, "CMD") == '["serve"]'
    assert healthcheck(target)[0] == "python"
    assert environment(target)["STEMWRIGHT_DATA"] == "/data"


def test_the_dockerfile_keeps_the_rules_of_linters() -> None:
    stages: list[str] = []
    for word, rest in instructions():
        assert word in {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "VOLUME", "EXPOSE", "HEALTHCHECK", "USER"} | {
            *("ENTRYPOINT", "CMD")
        }
        if word == "FROM":
            origin, _, alias = rest.partition(" AS ")
            assert origin in stages or re.fullmatch(r"[\w/.-]+:[\w.-]*\d[\w.-]*", origin)  # never :latest, never none
            assert alias not in stages
            stages.append(alias)
        if word == "WORKDIR":
            assert rest.startswith("/")
        if word == "RUN":
            assert not re.search(r"\bsudo\b|\bcurl\b|\bwget\b|(^|&& )cd |apt(-get)? ", rest)
        if word == "COPY" and (origin := re.match(r"--from=(\S+)", rest)):
            assert origin[1] in stages
    assert environment("build")["PIP_NO_CACHE_DIR"] == "1"


def test_the_image_installs_what_its_hashes_say() -> None:
    """Each package, and what builds ours; PyTorch's CUDA wheels alone are held by version."""
    for word, rest in instructions():
        for command in rest.split("&&") if word == "RUN" else ():
            if "pip install" in command:
                is_torch = command.split("install ")[1].split() == [
                    "-c",
                    "constraints.txt",
                    "'torch>=2.9'",
                    "'safetensors>=0.6'",
                ]
                assert is_torch or "--no-deps --require-hashes -r " in command or "--no-index wheel/*.whl" in command
            if "pip wheel" in command:
                assert "--no-deps --no-build-isolation" in command
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert told["project"]["optional-dependencies"]["torch"][:2] == ["torch>=2.9", "safetensors>=0.6"]


@pytest.mark.parametrize("name", ["requirements.lock", "deploy/build.lock"])
def test_a_lock_has_a_hash_for_every_package(name: str) -> None:
    locked = re.split(r"(?m)^(?=\w)", re.sub(r"(?m)^#.*\n", "", (ROOT / name).read_text()))[1:]
    pinned = {
        found[1]: found[2] for each in locked if (found := re.match(r"([\w.-]+)==(\S+) \\\n +--hash=sha256:", each))
    }
    assert len(pinned) == len(locked)
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = told["project"]["dependencies"] if name == "requirements.lock" else told["build-system"]["requires"]
    for each in map(Requirement, wanted):
        assert each.specifier.contains(pinned[each.name.lower()])


@pytest.mark.skipif(not shutil.which("make"), reason="make is not there")
def test_a_release_is_the_wheel_its_bills_and_their_sums() -> None:
    done = subprocess.run(["make", "--dry-run", "release"], cwd=ROOT, capture_output=True, text=True, check=True)
    at = [
        done.stdout.index(step)
        for step in (
            "rm -rf dist",
            "pip --disable-pip-version-check wheel",
            "sbom.cdx.json",
            "console.cdx.json",
            ">SHA256SUMS",
        )
    ]
    assert at == sorted(at)


def test_the_root_is_copied_by_what_there_is() -> None:
    kept = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")]
    for word, rest in instructions():
        if word == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists()
                assert any(fnmatch.fnmatch(source, f"{name}*") for name in kept)


def test_nothing_after_the_user_is_done_as_root() -> None:
    words = [word for word, _ in stage("cpu")]
    assert "RUN" not in words[words.index("USER") :]
    assert all(word != "ADD" for word in words)


def test_compose_holds_together() -> None:
    found = compose(**SECRETS)
    services = found["services"]
    for name, service in services.items():
        assert {"image"} <= service.keys(), name
        assert ":" in service["image"]
        assert not service["image"].endswith(":latest")
        for other, needed in service.get("depends_on", {}).items():
            assert needed["condition"] in CONDITIONS
            assert needed["condition"] != "service_healthy" or "healthcheck" in services[other]
        for volume in service.get("volumes", []):
            assert volume.startswith("/") or volume.partition(":")[0] in found["volumes"]


def test_compose_runs_ours_without_rights() -> None:
    for name in ("migrate", "api", "worker"):
        service = compose(**SECRETS)["services"][name]
        assert service["read_only"]
        assert service["user"] == last("cpu", "USER")
        assert service["cap_drop"] == ["ALL"]
        assert service["tmpfs"] == ["/tmp:mode=1777"]


def test_compose_has_no_secret_of_its_own() -> None:
    for name in SECRETS:
        with pytest.raises(KeyError, match=name):
            compose(**{other: "x" for other in SECRETS if other != name})


def test_every_setting_that_is_named_exists() -> None:
    text = "".join(path.read_text() for path in DEPLOY.rglob("*") if path.is_file() and "grafana" not in path.parts)
    named = set(re.findall(r"STEMWRIGHT_[A-Z_]+", text)) - {"STEMWRIGHT_IMAGE"}
    assert settings.unknown(named) == []


def objects(**changed: object) -> dict[tuple[str, str], dict]:
    return {(each["kind"], each["metadata"]["name"]): each for each in rendered(**changed)}


def test_the_chart_selects_what_it_makes() -> None:
    found = objects()
    pods = {
        name: each["spec"]["template"]["metadata"]["labels"]
        for (kind, name), each in found.items()
        if kind == "Deployment"
    }
    for (kind, name), each in found.items():
        if kind == "Deployment":
            assert each["spec"]["selector"]["matchLabels"] == pods[name]
    assert found["Service", "stems"]["spec"]["selector"] == pods["stems-api"]
    assert found["ScaledObject", "stems-worker"]["spec"]["scaleTargetRef"]["name"] in pods


def test_the_chart_hardens_every_pod() -> None:
    for each in rendered():
        if each["kind"] in ("Deployment", "Job"):
            pod = each["spec"]["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"]
            (container,) = pod["containers"]
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/data", "/tmp"]
            assert {mount["name"] for mount in container["volumeMounts"]} == {
                volume["name"] for volume in pod["volumes"]
            }
            assert container["resources"]["limits"]["memory"]


def test_the_chart_waits_for_longer_than_a_worker_drains() -> None:
    pod = objects(worker__drainSeconds=500)["Deployment", "stems-worker"]["spec"]["template"]["spec"]
    drain = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}["STEMWRIGHT_DRAIN_SECONDS"]
    assert pod["terminationGracePeriodSeconds"] == int(drain) + 30


def test_an_api_that_ends_answers_what_is_on_its_way() -> None:
    pod = objects()["Deployment", "stems-api"]["spec"]["template"]["spec"]
    sleep, seconds = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert (sleep, pod["terminationGracePeriodSeconds"] > int(seconds) + GRACE_SECONDS) == ("sleep", True)
    assert compose(**SECRETS)["services"]["api"]["stop_grace_period"] == "30s"


def test_the_chart_goes_without_keda_and_with_gpus() -> None:
    assert "replicas" not in objects()["Deployment", "stems-worker"]["spec"]
    plain = objects(scaling__keda=False, scaling__minimum=3, worker__gpus=1)
    assert plain["Deployment", "stems-worker"]["spec"]["replicas"] == 3
    assert not [kind for kind, _ in plain if kind == "ScaledObject"]
    (container,) = plain["Deployment", "stems-worker"]["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_the_unit_is_hardened() -> None:
    service = unit()["Service"]
    for switch in ("DynamicUser", "NoNewPrivileges", "PrivateTmp", "ProtectHome", "RestrictNamespaces"):
        assert service[switch] == ["yes"]
    assert service["ProtectSystem"] == ["strict"]
    assert service["CapabilityBoundingSet"] == [""]


def test_the_unit_lets_a_migration_take_its_time() -> None:
    assert unit()["Service"]["TimeoutStartSec"] == ["infinity"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not there")
def test_systemd_knows_every_line(tmp_path) -> None:
    text = (DEPLOY / "stemwright.service").read_text().replace("/opt/stemwright/bin/stemwright", "/bin/true")
    (tmp_path / "stemwright.service").write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "stemwright.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "stemwright.service" not in done.stderr


def test_what_is_scaled_on_is_told() -> None:
    told = (ROOT / "src" / "stemwright" / "server" / "metrics.py").read_text()
    for trigger in objects()["ScaledObject", "stems-worker"]["spec"]["triggers"]:
        (figure,) = re.findall(r"stemwright_\w+", trigger["metadata"]["query"])
        assert f'"{figure}"' in told


def test_the_steps_of_compose_come_in_order() -> None:
    services = compose(**SECRETS)["services"]
    for earlier, later in pairwise(["postgres", "migrate", "api"]):
        assert earlier in services[later]["depends_on"]
