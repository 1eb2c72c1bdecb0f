#!/usr/bin/env bash
# Checks and packs the extension: types, lint, unit tests, mirrored settings, vsce package.
#
# Node comes from a wheel, into .editors of the checkout (or $MIDFILL_EDITORS_DIR).
# Where it cannot be had this says SKIPPED and succeeds, unless MIDFILL_REQUIRE_EDITORS names
# vscode. $PYTHON is a Python 3.11 or newer; it needs no packages.
set -euo pipefail
cd "$(dirname "$0")"
export PYTHON=${PYTHON:-python3}

skip() {
  echo "SKIPPED the VS Code extension: $1" >&2
  [[ ",${MIDFILL_REQUIRE_EDITORS:-}," != *,vscode,* ]]
  exit
}

node=$("$PYTHON" ../../tests/editors/vscode/install.py --node) || skip "no node: $node"
export PATH="$node:$PATH"
if ! npm ci --no-audit --no-fund --loglevel=error; then
  npm view typescript version >/dev/null 2>&1 && exit 1 # the registry answers: the lock is wrong
  skip "npm reaches no registry"
fi

npm run --silent types
npm run --silent lint
npm test --silent
npm run --silent settings -- --check
npm run --silent package
