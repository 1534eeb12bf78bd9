#!/usr/bin/env python3
"""validate_schema.py SCHEMA.json FILE.json...: exits with 1, and says where, when a file does not have the schema."""
import json
import sys

import jsonschema

with open(sys.argv[1], encoding="utf-8") as file:
    validator = jsonschema.Draft7Validator(json.load(file))
failed = False
for path in sys.argv[2:]:
    with open(path, encoding="utf-8") as file:
        for error in validator.iter_errors(json.load(file)):
            print(f"{path}: {'.'.join(map(str, error.absolute_path))}: {error.message}")
            failed = True
sys.exit(failed)
