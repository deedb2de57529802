#!/usr/bin/env bash
# The stand-in for HTCondor, which has no daemons: HTCondor's own bindings from PyPI read submit files, and jobs run here.
#   ./install.sh DIRECTORY      makes DIRECTORY/bin/condor_submit and its siblings, to be put on PATH
#
# The bindings have an environment of their own, DIRECTORY/python. PYTHON names the interpreter. The 24.12 ones are the
# last with Submit.jobs().
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
mkdir -p "$1/bin"
directory="$(cd "$1" && pwd)"
if ! "$directory/python/bin/python" -W ignore -c 'import htcondor' 2> /dev/null; then
    "${PYTHON:-python3}" -m venv --clear "$directory/python"
    "$directory/python/bin/python" -m pip install --quiet htcondor==24.12.24
fi
for name in condor_submit condor_q condor_history condor_rm; do
    printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$directory/python/bin/python" "$here/$name" > "$directory/bin/$name"
    chmod +x "$directory/bin/$name"
done
install "$here/condor_version" "$directory/bin/condor_version"
