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

ONE = "application/vnd.sallyport.recording-manifest.v1+json"
SEVERAL = "application/vnd.sallyport.recording-manifest.v2+json"
HASH = re.compile(rb',"hash":"([0-9a-f]{64})"}$')
SEQ = re.compile(rb'^{"seq":([1-9][0-9]*),')
TEMPORARY = re.compile(r"\.tmp-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

problems = []


def problem(where, what):
    problems.append(f"{where}: {what}")


def entries(folder):
    """What belongs to a recording: neither parts of an open segment nor what is being written."""
    for entry in os.listdir(folder):
        parts = entry.endswith(".open") and os.path.isdir(os.path.join(folder, entry))
        if not parts and not TEMPORARY.fullmatch(entry):
            yield entry


def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def manifest_of(folder, public_key, name, type_):
    with open(os.path.join(folder, name), "rb") as file:
        raw = file.read()
    envelope = json.loads(raw)
    again = {
        "payloadType": envelope["payloadType"],
        "payload": envelope["payload"],
        "signatures": [{"keyid": each["keyid"], "sig": each["sig"]} for each in envelope["signatures"]],
    }
    if json.dumps(again, separators=(",", ":")).encode() + b"\n" != raw:
        problem(name, "does not stand there as it is written")
    payload = base64.b64decode(envelope["payload"], validate=True)
    for text in [envelope["payload"]] + [each["sig"] for each in envelope["signatures"]]:
        if base64.b64encode(base64.b64decode(text, validate=True)).decode() != text:
            problem(name, "base64 in another spelling")
    if envelope["payloadType"] != type_:
        problem(name, "another payloadType")
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", public_key, "-outform", "DER"], check=True, capture_output=True
    ).stdout
    keyid = hashlib.sha256(der).hexdigest()[:32]
    # The first by the key that is trusted decides.
    own = [each["sig"] for each in envelope["signatures"] if each["keyid"] == keyid]
    if not own or len(envelope["signatures"]) > 8:
        problem(name, "signed by another key")
        return json.loads(payload)
    sig = base64.b64decode(own[0], validate=True)
    signed = f"DSSEv1 {len(type_)} {type_} {len(payload)} ".encode() + payload
    with tempfile.TemporaryDirectory() as scratch:
        names = [os.path.join(scratch, name) for name in ("message", "sig")]
        for name, content in zip(names, (signed, sig)):
            with open(name, "wb") as file:
                file.write(content)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public_key, "-rawin", "-in", names[0], "-sigfile", names[1]]
        if subprocess.run(command, capture_output=True).returncode != 0:
            problem(name, "the signature does not hold")
    return json.loads(payload)


def verify(folder, public_key):
    name = os.path.basename(os.path.abspath(folder))
    if not os.path.exists(os.path.join(folder, "manifest.json")):
        problem("manifest.json", "is missing: the recording is open, or it was taken away")
        return
    with open(os.path.join(folder, "manifest.json"), "rb") as file:
        several = SEVERAL.encode() in file.read(200)
    if several or any(os.path.isdir(os.path.join(folder, entry)) for entry in entries(folder)):
        verify_several(folder, public_key, name)
    else:
        verify_chain(folder, public_key, name)


def verify_several(folder, public_key, name):
    files = sorted(entry for entry in entries(folder) if not os.path.isdir(os.path.join(folder, entry)))
    before, before_file = None, None
    for number in range(1, len(files) + 1):
        file = "manifest.json" if number == 1 else f"manifest-{number:06d}.json"
        if file not in files:
            problem(file, "is missing")
            continue
        manifest = manifest_of(folder, public_key, file, SEVERAL)
        if manifest["recording"]["name"] != name or manifest["number"] != number:
            problem(file, "of another recording, or another one of its manifests")
        if before is not None:
            if manifest["previous"] != digest_of(os.path.join(folder, before_file)):
                problem(file, "another manifest before it")
            named = {(chain["name"], chain["manifestSHA256"]) for chain in manifest["chains"]}
            for chain in before["chains"]:
                if (chain["name"], chain["manifestSHA256"]) not in named:
                    problem(file, f"does not name {chain['name']} any more")
        before, before_file = manifest, file
    for chain in before["chains"]:
        place = os.path.join(folder, chain["name"])
        if not os.path.exists(os.path.join(place, "manifest.json")):
            problem(chain["name"], "is missing, or its manifest is")
            continue
        if digest_of(os.path.join(place, "manifest.json")) != chain["manifestSHA256"]:
            problem(chain["name"], "has another manifest")
        verify_chain(place, public_key, f"{name}.{chain['name']}")
    for entry in set(entries(folder)) - set(files) - {chain["name"] for chain in before["chains"]}:
        problem(entry, "is named by no manifest")


def verify_chain(folder, public_key, name):
    manifest = manifest_of(folder, public_key, "manifest.json", ONE)
    if manifest["recording"]["name"] != name:
        problem("manifest.json", "of another recording")
    listed = {segment["name"] for segment in manifest["segments"]}
    for file in sorted(set(entries(folder)) - listed - {"manifest.json"}):
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
