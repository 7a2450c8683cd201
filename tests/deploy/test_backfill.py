"""A back-fill on Kubernetes: as a RayJob, whose schema is KubeRay's, and as a Job in one pod."""

import json
import os
import re
import shlex
import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import kubernetes_validate
import pytest
import typer
from pyarrow import parquet

from bench.backfill import TRIAGE
from service import settings
from service.cli.app import app
from service.telemetry import KEY_FILE
from tests.deploy.manifests import (
    BACKFILLS,
    FOLDER,
    Manifest,
    built,
    named,
    of_kind,
    pods,
    quantity,
    selects,
    variables,
)
from tests.factories import dicom_bytes, noise
from tests.service.conftest import s3 as s3
from tests.service.s3_server import BUCKET, KEY, SECRET, S3Server

RAY, LOCAL = BACKFILLS
VERSIONS = ("1.30", "1.37")
# https://docs.ray.io/en/latest/cluster/kubernetes/references/api.html: those of KubeRay 1.5.1 that are used here
FIELDS = {
    "RayJob": {
        "entrypoint": str,
        "submissionMode": str,
        "backoffLimit": int,
        "shutdownAfterJobFinishes": bool,
        "ttlSecondsAfterFinished": int,
        "rayClusterSpec": dict,
    },
    "RayCluster": {"rayVersion": str, "authOptions": dict, "headGroupSpec": dict, "workerGroupSpecs": list},
    "head": {"rayStartParams": dict, "template": dict},
    "worker": {
        "groupName": str,
        "replicas": int,
        "minReplicas": int,
        "maxReplicas": int,
        "rayStartParams": dict,
        "template": dict,
    },
}
LABELS = {"app.kubernetes.io/name": "triage", "app.kubernetes.io/component": "backfill"}

both = pytest.mark.parametrize("kustomization", [RAY, LOCAL])


def own(kustomization: str) -> list[tuple[str, Manifest]]:
    """Name and template of each pod of the back-fill."""
    return [(name, each) for name, each in pods(kustomization) if each["metadata"]["labels"] == LABELS]


def groups() -> list[Manifest]:
    """Head group and worker groups."""
    cluster = named(RAY, "RayJob", "triage-backfill")["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


@both
@pytest.mark.parametrize("version", VERSIONS)
def test_each_document_is_valid(kustomization: str, version: str) -> None:
    for document in built(kustomization):
        if document["kind"] != "RayJob":
            kubernetes_validate.validate(document, version, strict=True)
    for name, template in own(kustomization):
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name}, "template": template}
        kubernetes_validate.validate(pod, version, strict=True)


def test_the_ray_job_has_the_fields_that_kuberay_documents() -> None:
    job = named(RAY, "RayJob", "triage-backfill")
    cluster = job["spec"]["rayClusterSpec"]
    head, *workers = groups()

    assert job["apiVersion"] == "ray.io/v1"
    pairs = [("RayJob", job["spec"]), ("RayCluster", cluster), ("head", head), *(("worker", each) for each in workers)]
    for kind, specification in pairs:
        assert {name: type(value) for name, value in specification.items()} == FIELDS[kind]
    for group in (head, *workers):
        assert {type(value) for value in group["rayStartParams"].values()} == {str}


def test_the_cluster_ends_with_the_job_and_another_attempt_goes_on() -> None:
    job = named(RAY, "RayJob", "triage-backfill")["spec"]

    assert job["shutdownAfterJobFinishes"]
    assert job["ttlSecondsAfterFinished"] > 0
    assert job["backoffLimit"] > 0


def test_the_version_of_ray_is_that_of_the_image(root: Path) -> None:
    [pinned] = re.findall(r"^ray==(\S+)$", (root / "constraints.txt").read_text(), re.MULTILINE)

    assert named(RAY, "RayJob", "triage-backfill")["spec"]["rayClusterSpec"]["rayVersion"] == pinned


def test_the_commands_take_their_arguments() -> None:
    [(_, template)] = own(LOCAL)
    [container] = template["spec"]["containers"]
    program, *words = shlex.split(named(RAY, "RayJob", "triage-backfill")["spec"]["entrypoint"])
    given = []
    for name, *arguments in (words, container["args"]):
        command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
        given.append(command.make_context(name, list(arguments)).params)
    ray, local = given

    assert program == "triage"
    assert (ray["engine"], ray["address"]) == ("ray", "auto")
    assert (local["engine"], local["address"]) == ("local", None)
    for name in ("source", "destination"):
        assert ray[name] == local[name]
        assert ray[name].startswith("s3://")


@both
def test_each_pod_is_as_confined_as_those_of_the_service(kustomization: str) -> None:
    service = named(kustomization, "Deployment", "triage")["spec"]["template"]["spec"]
    for name, template in own(kustomization):
        pod = template["spec"]
        [container] = pod["containers"]
        for field in ("serviceAccountName", "automountServiceAccountToken", "enableServiceLinks"):
            assert pod[field] == service[field], name
        assert pod["securityContext"].items() <= service["securityContext"].items()
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["securityContext"] == service["containers"][0]["securityContext"]
        assert {"/tmp"} <= {mount["mountPath"] for mount in container["volumeMounts"]}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)


@both
def test_settings_and_credentials_are_those_of_the_service(kustomization: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = named(kustomization, "Deployment", "triage")["spec"]["template"]["spec"]
    [ours] = service["containers"]
    [secret] = [volume for volume in service["volumes"] if volume["name"] == "s3"]
    endpoint = variables(kustomization, ours)["TRIAGE_STORAGE__ENDPOINT"]
    for _, template in own(kustomization):
        [container] = template["spec"]["containers"]
        given = variables(kustomization, container)
        assert container["envFrom"] == ours["envFrom"]
        assert given["AWS_ENDPOINT_URL"] == endpoint
        assert given["AWS_SHARED_CREDENTIALS_FILE"] == "/run/secrets/s3/credentials"
        mounts = [mount for mount in container["volumeMounts"] if mount["name"] == "s3"]
        assert mounts == [mount for mount in ours["volumeMounts"] if mount["name"] == "s3"]
        assert {mount["mountPath"] for mount in mounts} == {"/run/secrets/s3", f"/data/{KEY_FILE}"}
        assert secret in template["spec"]["volumes"]
        assert "valueFrom" not in json.dumps(container)
        with monkeypatch.context() as environment:
            for variable, value in given.items():
                environment.setenv(variable, value)
            settings.load()


def test_the_command_reads_and_writes_a_bucket_with_the_variables_of_the_pod(s3: S3Server, tmp_path: Path) -> None:
    """Without the files of the service, as the password of the database, which its settings name."""
    [(_, template)] = own(LOCAL)
    [container] = template["spec"]["containers"]
    credentials = tmp_path / "credentials"
    credentials.write_text(f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    given = variables(LOCAL, container)
    given |= {"AWS_ENDPOINT_URL": s3.address, "AWS_SHARED_CREDENTIALS_FILE": str(credentials)}
    rest = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TRIAGE_"))}
    s3.client.put_object(Bucket=BUCKET, Key="archive/2026/one.dcm", Body=dicom_bytes(noise()))

    done = subprocess.run([TRIAGE, *container["args"]], env=rest | given, capture_output=True, text=True, timeout=120)
    parts = [key for key in s3.keys("results/") if key.endswith(".parquet")]

    assert done.returncode == 0, done.stderr
    [table] = [parquet.read_table(BytesIO(s3.read(part))).to_pylist() for part in parts]
    assert [row["file"] for row in table] == ["2026/one.dcm"]


@both
def test_only_the_cluster_and_the_operator_reach_it(kustomization: str) -> None:
    policies = [
        each["spec"]
        for each in of_kind(kustomization, "NetworkPolicy")
        if selects(each["spec"]["podSelector"], LABELS) and each["spec"]["podSelector"]
    ]
    names = [
        name
        for name, each in pods(kustomization)
        for policy in policies
        if selects(policy["podSelector"], each["metadata"]["labels"])
    ]
    [policy] = [each for each in policies if "Ingress" in each["policyTypes"]]
    cluster = {"podSelector": {"matchLabels": LABELS}}
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kuberay"}}}
    ingress = [(rule["from"], [port["port"] for port in rule["ports"]]) for rule in policy.get("ingress", [])]

    assert policies == [policy]
    assert names == [name for name, _ in own(kustomization)]
    assert {"Ingress", "Egress"} == set(policy["policyTypes"])
    assert ingress == ([([cluster], [1024]), ([operator], [8265])] if kustomization == RAY else [])
    outside = [peer for rule in policy["egress"] for peer in rule["to"] if peer != cluster]
    s3 = named(kustomization, "NetworkPolicy", "triage-s3")["spec"]["egress"][0]["to"]
    assert outside == s3


def test_the_ports_of_the_cluster_are_open_to_its_pods_and_a_token_is_asked_for() -> None:
    policy = named(RAY, "NetworkPolicy", "triage-backfill")["spec"]
    [own_ports] = policy["ingress"][0]["ports"]
    used = [port["containerPort"] for _, each in own(RAY) for port in each["spec"]["containers"][0]["ports"]]

    assert all(own_ports["port"] <= port <= own_ports["endPort"] for port in used)
    assert named(RAY, "RayJob", "triage-backfill")["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}


def test_each_node_has_probes_for_which_the_image_needs_no_program() -> None:
    """KubeRay adds probes that run wget where there are none."""
    ports = []
    for _, template in own(RAY):
        [container] = template["spec"]["containers"]
        probes = [container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
        assert probes == [probes[0]] * 3
        assert probes[0]["port"] in {port["containerPort"] for port in container["ports"]}
        ports.append((probes[0]["port"], probes[0]["path"]))

    # tests/docker/test_backfill.py asks for both.
    assert ports == [(8265, "/api/gcs_healthz"), (52365, "/api/local_raylet_healthz")]


def test_memory_suffices_for_objects_and_for_hostile_files_in_all_decoders() -> None:
    each = settings.Limits().decode_memory_bytes
    for group in groups():
        pod, parameters = group["template"]["spec"], group["rayStartParams"]
        [container] = pod["containers"]
        [shared] = [volume["emptyDir"] for volume in pod["volumes"] if volume["name"] == "objects"]
        [temporary] = [volume["emptyDir"] for volume in pod["volumes"] if volume["name"] == "temporary"]
        limits = container["resources"]["limits"]
        readers = int(parameters.get("num-cpus", limits["cpu"]))  # KubeRay takes the limit
        objects = quantity(shared["sizeLimit"])

        assert {"name": "objects", "mountPath": "/dev/shm"} in container["volumeMounts"]
        assert shared["medium"] == "Memory"
        assert 0.8 * objects < int(parameters["object-store-memory"]) <= objects  # else Ray puts them on the disk
        assert quantity(limits["memory"]) >= readers * (each + 2**29) + objects + 2**30
        assert quantity(limits["ephemeral-storage"]) > quantity(temporary["sizeLimit"])  # objects that are spilled


def test_memory_of_the_job_suffices_for_hostile_files_in_all_decoders() -> None:
    [(_, template)] = own(LOCAL)
    [container] = template["spec"]["containers"]
    limits, [temporary] = (
        container["resources"]["limits"],
        [volume["emptyDir"] for volume in template["spec"]["volumes"] if volume["name"] == "temporary"],
    )

    assert quantity(limits["memory"]) >= (
        int(limits["cpu"]) * settings.Limits().decode_memory_bytes + quantity(temporary["sizeLimit"]) + 2**30
    )


@both
def test_a_copy_of_the_overlay_replaces_every_value(kustomization: str, tmp_path: Path) -> None:
    """Without a change of the component, which other sites share."""
    copied = shutil.copytree(FOLDER, tmp_path / "kubernetes") / "overlays" / "archive"
    shutil.copytree(FOLDER / kustomization, copied)
    text = (copied / "kustomization.yaml").read_text()
    replaced = {
        "s3://radiographs/archive": "s3://ours/films",
        "s3://radiographs/results": "s3://ours/table",
        "https://s3.hospital.example": "https://ours",
        "192.0.2.30/32": "10.0.0.1/32",
        "value: 4}": "value: 9}",
        'cpu: "4"': 'cpu: "3"',
    }
    for old, new in replaced.items():
        assert (old in text) or (kustomization == LOCAL and "4" in old)
        text = text.replace(old, new)
    (copied / "kustomization.yaml").write_text(text)

    documents = [
        json.dumps(each)
        for each in built(str(copied))
        if each["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "backfill"
    ]

    assert len(documents) == 2
    for old in ("s3://radiographs", "s3.hospital.example", "192.0.2.30"):
        assert old not in "".join(documents)
    if kustomization == RAY:
        [workers] = named(str(copied), "RayJob", "triage-backfill")["spec"]["rayClusterSpec"]["workerGroupSpecs"]
        assert [workers[name] for name in ("replicas", "minReplicas", "maxReplicas")] == [9, 9, 9]
        assert workers["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] == "3"


@both
def test_it_is_applied_by_its_label_with_an_image_that_the_page_builds(kustomization: str) -> None:
    page = (FOLDER / "README.md").read_text()
    label = "app.kubernetes.io/component"
    labelled = {
        document["kind"]
        for document in built(kustomization)
        if document["metadata"].get("labels", {}).get(label) == "backfill"
    }
    images = {each["spec"]["containers"][0]["image"] for _, each in own(kustomization)}
    [built_there] = re.findall(r'--build-arg EXTRAS="(.*?)" -t (\S+)', page)

    assert labelled == {"NetworkPolicy", "RayJob" if kustomization == RAY else "Job"}
    copied = {RAY: "overlays/archive", LOCAL: "overlays/archive-local"}[kustomization]
    assert f"cp -r deploy/kubernetes/{kustomization} deploy/kubernetes/{copied} " in page
    assert f"kubectl apply -k deploy/kubernetes/{copied} -l {label}=backfill" in page
    assert built_there == ("scale jobs", *images)
