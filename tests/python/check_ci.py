"""CI files under the eyes of others. argv: pairs of a schema and a file, as in `vendor.gitlab-ci FILE`.

Validates each file against the schema of check-jsonschema that is named, and prints one JSON object: what is wrong, and
what PyYAML reads in each file, by its path.
"""

import json
import subprocess
import sys

import yaml


def main(pairs):
    wrong, files = [], {}
    for schema, path in zip(pairs[::2], pairs[1::2], strict=True):
        done = subprocess.run([sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, path],
                              capture_output=True, text=True)
        if done.returncode:
            wrong.append(done.stdout + done.stderr)
        with open(path, "rb") as file:
            files[path] = list(yaml.safe_load_all(file))
    json.dump({"wrong": wrong, "files": files}, sys.stdout)
    print()


main(sys.argv[1:])
