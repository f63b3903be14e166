"""Validates API objects against the schemas of a Kubernetes version; fields that the API does not know are refused.

Reads {"version": "1.37", "objects": [...]} from standard input and writes
{"version": used, "checked": [names], "problems": [{"object", "message"}]}.
"""
import json
import sys

import kubernetes_validate


def main() -> None:
    request = json.load(sys.stdin)
    used, checked, problems = None, [], []
    for item in request["objects"]:
        name = "{} {}".format(item["kind"], item["metadata"]["name"])
        try:
            used = kubernetes_validate.validate(item, request["version"], strict=True)
        except kubernetes_validate.ValidationError as error:
            used = error.version
            path = ".".join(str(part) for part in error.absolute_path)
            problems.append({"object": name, "message": "{}: {}".format(path, error.message)})
        except kubernetes_validate.SchemaNotFoundError as error:
            problems.append({"object": name, "message": error.message})
        checked.append(name)
    json.dump({"version": used, "checked": checked, "problems": problems}, sys.stdout)


main()
