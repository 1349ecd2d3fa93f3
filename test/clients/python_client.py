"""The Python client with nothing special to the gateway: prints one JSON line for each thing done."""

import json
import sys
import threading
import time

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import portforward, stream

config.load_kube_config()
_, context = config.list_kube_config_contexts()
namespace = context["context"]["namespace"]
core = client.CoreV1Api()


def say(**fields):
    print(json.dumps(fields), flush=True)


def objects():
    seen = []

    def follow():
        for event in watch.Watch().stream(core.list_namespaced_config_map, namespace, timeout_seconds=20):
            if event["object"].metadata.name == "python":
                seen.append(event["type"])
            if event["type"] == "DELETED":
                return

    follower = threading.Thread(target=follow)
    follower.start()
    time.sleep(0.5)
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="python"), data={"a": "1"})
    core.create_namespaced_config_map(namespace, body)
    core.patch_namespaced_config_map("python", namespace, {"data": {"b": "2"}})
    read = core.read_namespaced_config_map("python", namespace)
    listed = core.list_namespaced_config_map(namespace, limit=1)
    core.delete_namespaced_config_map("python", namespace)
    follower.join()
    say(data=read.data, watched=seen, remaining=listed.metadata.remaining_item_count is not None)
    try:
        core.list_namespaced_secret("kube-system")
    except ApiException as error:
        say(status=error.status, message=json.loads(error.body)["message"])


def streams():
    command = ["sh", "-c", "read line; echo got $line; echo err >&2; exit 4"]
    session = stream(
        core.connect_get_namespaced_pod_exec, "web", namespace, command=command,
        stdin=True, stdout=True, stderr=True, tty=False, _preload_content=False,
    )
    session.write_stdin("a line\n")
    out = err = ""
    while session.is_open():
        session.update(timeout=1)
        out += session.read_stdout() if session.peek_stdout() else ""
        err += session.read_stderr() if session.peek_stderr() else ""
    say(out=out, err=err, code=session.returncode)
    say(whole=stream(
        core.connect_get_namespaced_pod_exec, "web", namespace, command=["echo", "at once"],
        stdin=False, stdout=True, stderr=True, tty=False,
    ))
    try:
        stream(
            core.connect_get_namespaced_pod_exec, "vault", namespace, command=["id"],
            stdin=False, stdout=True, stderr=True, tty=False,
        )
    except ApiException as error:
        say(status=error.status, reason=error.reason, body=str(error.body))
    forward = portforward(core.connect_get_namespaced_pod_portforward, "web", namespace, ports="80")
    socket = forward.socket(80)
    socket.settimeout(20)
    socket.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
    answer = b""
    while chunk := socket.recv(4096):
        answer += chunk
    say(page=answer.decode().split("\r\n\r\n", 1)[1], error=forward.error(80))
    log = core.read_namespaced_pod_log("vault-with-logs", namespace, tail_lines=1)
    say(log=log)


{"objects": objects, "streams": streams}[sys.argv[1]]()
