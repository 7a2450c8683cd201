"""The manifests of `deploy/kubernetes` are valid, and agree with the service and the image that they run."""

import copy
import json
import re
import subprocess
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import kubernetes_validate
import pytest
import sqlalchemy as sa
import typer
import yaml
from fastapi import FastAPI

from bench.cost import floors
from service import settings
from service.cli.app import GRACE_SECONDS, app
from service.dimse.acceptor import RELEASE_SECONDS
from service.http.app import ROUTERS, create_app
from service.http.auth import OPEN
from service.http.server import ARRIVAL
from service.settings import SHIPPED_ARTEFACT
from service.storage.url import database_url
from tests.deploy.manifests import (
    BACKFILLS,
    FOLDER,
    KUSTOMIZATIONS,
    Manifest,
    built,
    containers,
    named,
    of_kind,
    pods,
    quantity,
    selects,
    variables,
)
from tests.observe.prometheus import tool
from tests.service.metered import text
from tests.service.serving import settings_for

VERSIONS = ("1.30", "1.37")  # the oldest that has preStop.sleep without a switch, and the newest
OPERATOR = {"ServiceMonitor"}  # kinds of the Prometheus Operator, whose schemas are not among Kubernetes' own
RESTRICTED_VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
TO_REPLACE = re.compile(
    r"\b(?:192\.0\.2|198\.51\.100|203\.0\.113)\.[0-9/]+|[a-z0-9.]+\.example\b"
)  # RFC 5737, RFC 2606

every = pytest.mark.parametrize("kustomization", KUSTOMIZATIONS)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    service = create_app(settings_for(SHIPPED_ARTEFACT, tmp_path_factory.mktemp("service")))
    yield service
    service.state.pipeline.database.close()


@pytest.mark.parametrize("version", VERSIONS)
@every
def test_each_document_is_valid(kustomization: str, version: str) -> None:
    documents = [document for document in built(kustomization) if document["kind"] not in OPERATOR]

    assert len(documents) >= 14
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


def test_a_misspelt_field_is_not_valid() -> None:
    deployment = copy.deepcopy(named("base", "Deployment", "triage"))
    deployment["spec"]["template"]["spec"]["enableServiceLink"] = False

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


@every
def test_each_pod_is_as_confined_as_the_level_restricted_asks_and_more(kustomization: str) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/, which the namespace enforces."""
    [namespace] = of_kind(kustomization, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"

    for _, template in pods(kustomization):
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["runAsGroup"] == 10001  # docker/
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(pod)
        assert {key for volume in pod["volumes"] for key in volume} - {"name"} <= RESTRICTED_VOLUMES
        assert pod["automountServiceAccountToken"] is False
        named(kustomization, "ServiceAccount", pod["serviceAccountName"])
    for _, container in containers(kustomization):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}


@every
def test_no_service_becomes_a_variable_that_is_no_setting(kustomization: str) -> None:
    """The Service triage would add TRIAGE_SERVICE_HOST to each pod, and the service refuses to start with that."""
    for _, template in pods(kustomization):
        assert template["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize("kustomization", [*KUSTOMIZATIONS, *BACKFILLS])
def test_each_container_has_requests_and_limits(kustomization: str) -> None:
    for _, container in containers(kustomization):
        resources = container["resources"]
        for kind in ("cpu", "memory", "ephemeral-storage"):
            assert 0 < quantity(resources["requests"][kind]) <= quantity(resources["limits"][kind])


@every
def test_memory_suffices_for_hostile_files_in_all_decoders(kustomization: str) -> None:
    """At the limit the kubelet lets the kernel end all processes of a container, not the largest alone."""
    deployment = named(kustomization, "Deployment", "triage")["spec"]["template"]["spec"]
    [container] = deployment["containers"]
    [temporary] = [volume["emptyDir"] for volume in deployment["volumes"] if volume["name"] == "temporary"]
    limits, given = container["resources"]["limits"], variables(kustomization, container)
    decoders = int(given.get("TRIAGE_LIMITS__DECODE_WORKERS", limits["cpu"]))  # by default, the processors it may use
    each = int(given.get("TRIAGE_LIMITS__DECODE_MEMORY_BYTES", settings.Limits().decode_memory_bytes))

    assert temporary["medium"] == "Memory"  # uploads in forms stay off disks
    needed = decoders * each + quantity(temporary["sizeLimit"]) + 2**30
    assert quantity(limits["memory"]) >= needed


@every
def test_the_variables_are_settings_that_the_service_accepts(
    kustomization: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, container in containers(kustomization):
        given = variables(kustomization, container)
        assert set(given) <= {*settings.names(), "AWS_SHARED_CREDENTIALS_FILE"}, name
        with monkeypatch.context() as environment:
            for variable, value in given.items():
                environment.setenv(variable, value)
            settings.load()
            if "TRIAGE_DATABASE__URL" in given:
                (tmp_path / "password").write_text("a pass/word: 100 %@\n")
                environment.setenv("TRIAGE_DATABASE__PASSWORD_FILE", str(tmp_path / "password"))
                url = sa.make_url(database_url(settings.load()))
                assert (url.drivername, url.password) == ("postgresql+psycopg", "a pass/word: 100 %@")
                assert url.query["sslmode"] == "verify-full"


@every
def test_files_in_settings_are_in_volumes_that_are_mounted(kustomization: str) -> None:
    for _, template in pods(kustomization):
        volumes = {volume["name"] for volume in template["spec"]["volumes"]}
        for container in template["spec"]["containers"]:
            paths = {mount["mountPath"] for mount in container["volumeMounts"]}
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            given = variables(kustomization, container)
            if container["name"] == "migration":  # reads these settings, and no others
                given = {name: value for name, value in given.items() if name.startswith("TRIAGE_DATABASE__")}
            files = re.findall(r"/run/secrets/[a-z0-9/.-]+", json.dumps(given))
            assert {str(Path(file).parent) for file in files} <= paths
        for volume in template["spec"]["volumes"]:
            if "persistentVolumeClaim" in volume:
                claim = named(kustomization, "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
                assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


@every
def test_secrets_are_mounted_by_reference_and_explained(kustomization: str) -> None:
    page = (FOLDER / "README.md").read_text()
    secrets = [
        volume["secret"]
        for _, template in pods(kustomization)
        for volume in template["spec"]["volumes"]
        if "secret" in volume
    ]

    assert of_kind(kustomization, "Secret") == []
    assert secrets
    for secret in secrets:
        assert f"create secret generic {secret['secretName']} " in page
        assert secret["defaultMode"] == 0o440  # the group is fsGroup
    for _, container in containers(kustomization):
        assert "valueFrom" not in json.dumps(container)  # a secret in the environment gets into dumps


@every
def test_probes_ask_for_what_is_served_without_a_key(kustomization: str) -> None:
    paths = {route.path for router in ROUTERS for route in router.routes} & OPEN
    probed = set()
    for name, container in containers(kustomization):
        ports = {port["name"] for port in container.get("ports", [])}
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container.get(kind, {})
            for way in ("httpGet", "tcpSocket"):
                if way in probe:
                    assert probe[way]["port"] in ports
                    probed.add((name, kind, probe[way].get("path")))

    assert {probe for probe in probed if probe[0] == "triage"} == {
        ("triage", "startupProbe", "/livez"),
        ("triage", "livenessProbe", "/livez"),  # a database that is down must not restart the replicas
        ("triage", "readinessProbe", "/readyz"),
    }
    assert {path for name, _, path in probed if name == "triage"} <= paths
    assert {path for name, _, path in probed if name == "dimse"} <= {None, "/metrics"}


@every
def test_ports_are_those_of_the_settings(kustomization: str) -> None:
    defaults = settings.Settings()
    expected = {
        "triage": {"http": defaults.http.port, "metrics": defaults.metrics.port},
        "dimse": {"dicom": defaults.dimse.port, "metrics": defaults.metrics.dimse_port},
        "migration": {},
    }
    for name, container in containers(kustomization):
        assert {port["name"]: port["containerPort"] for port in container.get("ports", [])} == expected[name]
        given = variables(kustomization, container)
        assert [variable for variable in given if variable.endswith("_PORT")] == []
    for policy in of_kind(kustomization, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            chosen = [
                port["containerPort"]
                for _, template in pods(kustomization)
                if selects(policy["spec"]["podSelector"], template["metadata"]["labels"])
                for port in template["spec"]["containers"][0]["ports"]
            ]
            assert {port["port"] for port in rule["ports"]} <= set(chosen)


@every
def test_selectors_match_the_pods_that_they_mean(kustomization: str) -> None:
    labels = {name: template["metadata"]["labels"] for name, template in pods(kustomization)}
    ports = {
        name: {port["name"] for port in template["spec"]["containers"][0].get("ports", [])}
        for name, template in pods(kustomization)
    }

    def chosen(selector: Manifest) -> list[str]:
        return [name for name, each in labels.items() if selects(selector, each)]

    for deployment in of_kind(kustomization, "Deployment"):
        name, specification = deployment["metadata"]["name"], deployment["spec"]
        assert chosen(specification["selector"]) == [name]
        for spread in specification["template"]["spec"]["topologySpreadConstraints"]:
            assert chosen(spread["labelSelector"]) == [name]
    for each in of_kind(kustomization, "Service"):
        [name] = chosen({"matchLabels": each["spec"]["selector"]})
        assert name == each["metadata"]["name"].removesuffix("-metrics")
        assert {port["targetPort"] for port in each["spec"]["ports"]} <= ports[name]
    for each in of_kind(kustomization, "PodDisruptionBudget"):
        assert chosen(each["spec"]["selector"]) == [each["metadata"]["name"]]
        assert each["spec"]["maxUnavailable"] == 1
    for each in of_kind(kustomization, "NetworkPolicy"):
        assert chosen(each["spec"]["podSelector"]), each["metadata"]["name"]


@every
def test_what_stops_has_the_time_that_it_takes(kustomization: str, root: Path) -> None:
    compose = yaml.safe_load((root / "docker-compose.yml").read_text())
    grace = int(compose["x-service"]["stop_grace_period"].removesuffix("s"))
    own = {"triage": GRACE_SECONDS + ARRIVAL, "triage-dimse": GRACE_SECONDS + RELEASE_SECONDS}
    for deployment in of_kind(kustomization, "Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        [container] = pod["containers"]
        pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pause >= 5  # until every proxy knows
        assert own[deployment["metadata"]["name"]] + 5 <= grace
        assert pod["terminationGracePeriodSeconds"] == pause + grace


@every
def test_a_rolling_update_needs_no_more_than_there_is(kustomization: str) -> None:
    """One more replica beside the old ones, or, where each has a GPU, one less."""
    for deployment in of_kind(kustomization, "Deployment"):
        rolling = deployment["spec"]["strategy"]["rollingUpdate"]
        limits = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert (rolling["maxSurge"], rolling["maxUnavailable"]) == ((0, 1) if "nvidia.com/gpu" in limits else (1, 0))


@every
def test_the_arguments_are_commands_and_the_images_those_that_are_built(kustomization: str, root: Path) -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    compose = (root / "docker-compose.yml").read_text()
    images = set()
    for _, container in containers(kustomization):
        assert {*container["args"]} <= commands
        images.add(container["image"])

    [image] = images
    if kustomization == "overlays/example":
        assert image.startswith("registry.example/agcnn-triage:")
    else:
        assert f"image: {image}\n" in compose
    assert ("gpu" in image) == (kustomization == "overlays/gpu")


def test_the_migration_has_the_settings_and_the_secret_of_the_service() -> None:
    job, deployment = named("base", "Job", "triage-migration"), named("base", "Deployment", "triage")
    [migration], [service] = (each["spec"]["template"]["spec"]["containers"] for each in (job, deployment))

    assert migration["args"] == ["migrate"]
    assert migration["envFrom"] == service["envFrom"]
    assert migration["image"] == service["image"]
    assert {"name": "database", "mountPath": "/run/secrets/database", "readOnly": True} in migration["volumeMounts"]


@every
def test_a_part_can_be_applied_before_the_replicas(kustomization: str) -> None:
    """README.md applies settings and migration first, by their label."""
    first = [
        (document["kind"], document["metadata"]["labels"].get("app.kubernetes.io/component"))
        for document in built(kustomization)
        if document["metadata"].get("labels", {}).get("app.kubernetes.io/component") in ("settings", "migration")
    ]

    assert sorted(first) == [("ConfigMap", "settings"), ("Job", "migration")]
    assert "-l 'app.kubernetes.io/component in (settings, migration)'" in (FOLDER / "README.md").read_text()


@every
def test_all_traffic_is_denied_but_what_is_listed(kustomization: str) -> None:
    denied = named(kustomization, "NetworkPolicy", "default-deny")["spec"]
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}

    for policy in of_kind(kustomization, "NetworkPolicy"):
        specification = policy["spec"]
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            assert (direction in specification) <= (direction.capitalize() in specification["policyTypes"])
            for rule in specification.get(direction, []):
                assert rule["ports"]
                assert rule[peers]
                for peer in rule[peers]:
                    assert set(peer) <= {"ipBlock", "namespaceSelector", "podSelector"}
                    assert {} not in peer.values()
                    assert peer.get("ipBlock", {}).get("cidr") != "0.0.0.0/0"


@every
def test_only_the_proxy_and_the_acceptor_reach_the_service(kustomization: str) -> None:
    labels = named(kustomization, "Deployment", "triage")["spec"]["template"]["metadata"]["labels"]
    peers: dict[int, list[str]] = {}
    for policy in of_kind(kustomization, "NetworkPolicy"):
        if not selects(policy["spec"]["podSelector"], labels):
            continue
        for rule in policy["spec"].get("ingress", []):
            for port in rule["ports"]:
                peers.setdefault(port["port"], []).extend(value for peer in rule["from"] for value in _names(peer))

    front = "gateway" if kustomization == "overlays/example" else "ingress"
    acceptor = ["acceptor"] if kustomization == "overlays/example" else []
    assert peers == {8000: [front, *acceptor], 9464: ["monitoring"]}


def _names(peer: Manifest) -> list[str]:
    if "namespaceSelector" in peer:
        return [peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]]
    return [peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]]


@every
def test_the_autoscaler_has_a_target_and_a_metric_that_every_cluster_can_have(kustomization: str) -> None:
    [scaler] = of_kind(kustomization, "HorizontalPodAutoscaler")
    target = scaler["spec"]["scaleTargetRef"]
    deployment = named(kustomization, target["kind"], target["name"])

    assert "replicas" not in deployment["spec"]  # each `apply` would undo what the autoscaler has decided
    assert scaler["spec"]["minReplicas"] >= 2
    assert scaler["spec"]["metrics"][0]["resource"]["name"] == "cpu"


def test_the_autoscaler_counts_places_that_the_service_exposes(service: FastAPI) -> None:
    [scaler] = of_kind("overlays/example", "HorizontalPodAutoscaler")
    [_, metric] = scaler["spec"]["metrics"]
    [rule] = yaml.safe_load((FOLDER / "components/queue-scaling/adapter.yaml").read_text())["rules"]["custom"]
    exposed = re.findall(r"^(\w+) ", text(service.state.collectors), re.MULTILINE)

    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    assert set(re.findall(r"triage_\w+", rule["seriesQuery"] + rule["metricsQuery"])) <= set(exposed)
    assert int(metric["pods"]["target"]["averageValue"]) < settings.Limits().max_in_flight


def test_the_rule_of_the_adapter_gives_the_places_taken_of_each_pod(tmp_path: Path) -> None:
    [rule] = yaml.safe_load((FOLDER / "components/queue-scaling/adapter.yaml").read_text())["rules"]["custom"]
    query = rule["metricsQuery"].replace("<<.LabelMatchers>>", 'namespace="triage",pod=~"a|b"')
    pod = '{namespace="triage",pod="%s",instance="%s"}'
    series = {("places", "a"): 32, ("places_free", "a"): 30, ("places", "b"): 32, ("places_free", "b"): 0}
    case = {
        "interval": "15s",
        "input_series": [
            {"series": f"triage_{name}{pod % (which, which)}", "values": f"{value}x4"}
            for (name, which), value in series.items()
        ],
        "promql_expr_test": [
            {
                "expr": query.replace("<<.GroupBy>>", "pod"),
                "eval_time": "30s",
                "exp_samples": [{"labels": '{pod="a"}', "value": 2}, {"labels": '{pod="b"}', "value": 32}],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": [], "tests": [case]}))
    done = subprocess.run(
        [tool("promtool"), "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_monitor_finds_the_metrics_of_its_job(root: Path) -> None:
    configured = yaml.safe_load((root / "docker" / "observe" / "prometheus.yml").read_text())["scrape_configs"]
    ports = {job["job_name"]: job["dns_sd_configs"][0]["port"] for job in configured}
    services = of_kind("overlays/example", "Service")
    scraped = {}
    for monitor in of_kind("overlays/example", "ServiceMonitor"):
        [endpoint] = monitor["spec"]["endpoints"]
        [relabelling] = endpoint["relabelings"]
        [port] = [
            port["port"]
            for each in services
            if selects(monitor["spec"]["selector"], each["metadata"]["labels"])
            for port in each["spec"]["ports"]
            if port["name"] == endpoint["port"]
        ]
        scraped[relabelling["replacement"]] = port

    assert scraped == ports


def test_the_example_says_what_to_replace() -> None:
    page = (FOLDER / "README.md").read_text()
    texts = [path.read_text() for path in FOLDER.rglob("*") if path.suffix in (".yaml", ".env")]
    values = {value for each in texts for value in TO_REPLACE.findall(each)}

    assert values >= {"database.example", "registry.example", "192.0.2.10/32", "203.0.113.0/24"}
    assert {value for value in values if f"`{value}`" not in page} == set()


def test_the_cores_that_feed_a_gpu_follow_from_what_was_measured(root: Path) -> None:
    """A page that was measured anew must not leave the advice behind; a fifth is another day or machine."""
    measured = (root / "bench" / "RESULTS.md").read_text()
    page = (FOLDER / "README.md").read_text()
    advised = {row[0]: [float(cell) for cell in row[1:]] for row in _rows(page, "| stored as |")}
    columns = ("file", "read", "decode", "prepare", "canvas", "network", "write and sync")
    assert f"| {' | '.join(columns)} |" in measured
    computed = floors(measured)
    for name, *cells in _rows(measured, "| milliseconds of one file"):
        network, writing = (float(cell) for cell in cells[len(columns) - 2 : len(columns)])
        processor = 1e3 * computed[name].core_seconds - network + writing
        assert advised.pop(name) == pytest.approx([processor, network, 8 * 1e3 / processor], rel=0.2), name
    assert advised == {}


def _rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of each row of the table with this heading."""
    lines = takewhile(lambda line: line.startswith("|"), page[page.index(heading) :].splitlines())
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in list(lines)[2:]]
