"""Manifests under the eyes of others. argv: a folder, and perhaps "read".

Validates each file of it, strictly, against the schemas of every Kubernetes from 1.29 on, and prints one JSON object:
the versions, what is wrong, and what PyYAML reads in each file. With "read", it only reads.
"""

import json
import pathlib
import sys

import kubernetes_validate
import yaml
from kubernetes_validate.utils import all_versions, major_minor

OLDEST = (1, 29)
# APIs that are installed into a cluster: their objects are read, and nobody here knows what is right for them.
FOREIGN = ("cert-manager.io/",)


def objects(value):
    """The items of a List, or the object itself."""
    if value is None:
        return
    if value["kind"].endswith("List"):
        for item in value["items"]:
            yield from objects(item)
    else:
        yield value


def without_nulls(value):
    """As an API server sees it: a null is a field that is not there."""
    if isinstance(value, dict):
        return {key: without_nulls(child) for key, child in value.items() if child is not None}
    if isinstance(value, list):
        return [without_nulls(child) for child in value]
    return value


def main(folder, only=None):
    versions = sorted({major_minor(version) for version in all_versions()}, key=lambda v: tuple(map(int, v.split("."))))
    versions = [version for version in versions if tuple(map(int, version.split("."))) >= OLDEST]
    if only == "read":
        versions = []
    wrong, files = [], {}
    for path in sorted(pathlib.Path(folder).iterdir()):
        with path.open("rb") as file:
            documents = list(yaml.safe_load_all(file))
        files[path.name] = documents
        for document in documents:
            for found in objects(document):
                if found["apiVersion"].startswith(FOREIGN):
                    continue
                for version in versions:
                    try:
                        kubernetes_validate.validate(without_nulls(found), version, strict=True)
                    except kubernetes_validate.ValidationError as error:
                        wrong.append(f"{path.name}: {version}: {'.'.join(map(str, error.path))}: {error.message}")
    json.dump({"versions": versions, "wrong": wrong, "files": files}, sys.stdout)
    print()


main(*sys.argv[1:])
