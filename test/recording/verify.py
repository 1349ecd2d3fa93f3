"""Verifies a recording, from docs/recording.md alone: python3 verify.py FOLDER PUBLIC_KEY.pem

Needs Python's standard library, and the programs zstd and openssl. Prints nothing and exits with 0 where all is as it was
written; else prints what is not, one line each, and exits with 1.
"""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

TYPE = "application/vnd.sallyport.recording-manifest.v1+json"
HASH = re.compile(rb',"hash":"([0-9a-f]{64})"}$')
SEQ = re.compile(rb'^{"seq":([1-9][0-9]*),')

problems = []


def problem(where, what):
    problems.append(f"{where}: {what}")


def manifest_of(folder, public_key):
    with open(os.path.join(folder, "manifest.json"), "rb") as file:
        raw = file.read()
    envelope = json.loads(raw)
    signature = envelope["signatures"][0]
    again = {
        "payloadType": envelope["payloadType"],
        "payload": envelope["payload"],
        "signatures": [{"keyid": signature["keyid"], "sig": signature["sig"]}],
    }
    if json.dumps(again, separators=(",", ":")).encode() + b"\n" != raw:
        problem("manifest.json", "does not stand there as it is written")
    payload = base64.b64decode(envelope["payload"], validate=True)
    sig = base64.b64decode(signature["sig"], validate=True)
    if base64.b64encode(payload).decode() != envelope["payload"] or base64.b64encode(sig).decode() != signature["sig"]:
        problem("manifest.json", "base64 in another spelling")
    if envelope["payloadType"] != TYPE:
        problem("manifest.json", "another payloadType")
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", public_key, "-outform", "DER"], check=True, capture_output=True
    ).stdout
    if hashlib.sha256(der).hexdigest()[:32] != signature["keyid"]:
        problem("manifest.json", "signed by another key")
    signed = f"DSSEv1 {len(TYPE)} {TYPE} {len(payload)} ".encode() + payload
    with tempfile.TemporaryDirectory() as scratch:
        names = [os.path.join(scratch, name) for name in ("message", "sig")]
        for name, content in zip(names, (signed, sig)):
            with open(name, "wb") as file:
                file.write(content)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public_key, "-rawin", "-in", names[0], "-sigfile", names[1]]
        if subprocess.run(command, capture_output=True).returncode != 0:
            problem("manifest.json", "the signature does not hold")
    return json.loads(payload)


def verify(folder, public_key):
    manifest = manifest_of(folder, public_key)
    name = os.path.basename(os.path.abspath(folder))
    if manifest["recording"]["name"] != name:
        problem("manifest.json", "of another recording")
    listed = {segment["name"] for segment in manifest["segments"]}
    for file in sorted(set(os.listdir(folder)) - listed - {"manifest.json"}):
        problem(file, "is not in the manifest")
    seq = 0
    head = hashlib.sha256(b"sallyport.dev/recording/start/v1\n" + name.encode()).hexdigest()
    for number, segment in enumerate(manifest["segments"], 1):
        path = os.path.join(folder, segment["name"])
        if segment["name"] != f"{number:06d}.jsonl.zst" or not os.path.exists(path):
            problem(segment["name"], "is missing")
            continue
        with open(path, "rb") as file:
            packed = file.read()
        if hashlib.sha256(packed).hexdigest() != segment["sha256"] or len(packed) != segment["bytes"]:
            problem(segment["name"], "SHA-256")
        unpacked = subprocess.run(["zstd", "-dcq", path], capture_output=True)
        if unpacked.returncode != 0:
            problem(segment["name"], "zstd")
        lines = unpacked.stdout.split(b"\n")
        if lines.pop() != b"":
            problem(segment["name"], "the last line is cut")
        for at, line in enumerate(lines, 1):
            tail, start = HASH.search(line), SEQ.search(line)
            if tail is None or start is None:
                problem(segment["name"], f"line {at} is none")
                continue
            body = line[: tail.start()]
            computed = hashlib.sha256(b"sallyport.dev/recording/line/v1\n" + head.encode() + b"\n" + body).hexdigest()
            if int(start.group(1)) != seq + 1 or computed != tail.group(1).decode():
                problem(segment["name"], f"line {at}: number or hash")
            value = json.loads(line)
            if at == 1:
                before = None if number == 1 else {"name": f"{number - 1:06d}.jsonl.zst", "hash": head}
                if value["kind"] != "Segment" or value["segment"] != number or value["recording"]["name"] != name:
                    problem(segment["name"], "line 1 is of another segment")
                if value.get("predecessor") != before:
                    problem(segment["name"], "another predecessor")
            seq, head = int(start.group(1)), tail.group(1).decode()
        if (seq, head) != (segment["lastSeq"], segment["hash"]):
            problem(segment["name"], "does not end as the manifest says")
    if (seq, head) != (manifest["lines"], manifest["hash"]):
        problem("manifest.json", "the recording does not end as it says")


if __name__ == "__main__":
    verify(sys.argv[1], sys.argv[2])
    for line in problems:
        print(line)
    sys.exit(1 if problems else 0)
