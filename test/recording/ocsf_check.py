"""Validates OCSF events from standard input, one a line, against the published schema of the version that each names."""
import json
import sys

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

schemas = {}
for number, line in enumerate(sys.stdin, 1):
    event = json.loads(line)
    version = event["metadata"]["version"]
    if version not in schemas:
        embedded = OcsfJsonSchemaEmbedded(get_ocsf_schema(version))
        schemas[version] = Draft202012Validator(embedded.get_class_schema("api_activity", []))
    for error in schemas[version].iter_errors(event):
        print(f"line {number}: {error.json_path}: {error.message[:300]}", file=sys.stderr)
        sys.exit(1)
print(number)
