#!/usr/bin/env bash
# Installs the Autobahn suite into a folder: tests/wire/autobahn.sh PYTHON FOLDER. `FOLDER/suite` then runs Python 2.7 with it.
# It needs Python 2.7 (set PYTHON2 to name one). Where there is none, as on Debian 12, that of Debian 11 is unpacked into the folder, from the
# mirror that this machine's apt is set to.
set -euo pipefail
python=$(realpath -s "$1")
folder=$(realpath -m "$2")
python2=${PYTHON2:-python2.7}
mkdir -p "$folder"
cd "$folder"

if ! "$python2" -c "" 2>/dev/null; then
    mkdir -p apt/lists/partial apt/cache/archives/partial debian
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 2>/dev/null | grep -m 1 -v -e - | cut -d ' ' -f 1) || true
    [ -e "$keys" ] && [ -n "$mirror" ] || { echo "no Python 2.7 here; name one with PYTHON2" >&2; exit 1; }
    echo "deb [signed-by=$keys] $mirror bullseye main" >apt/sources.list
    cd apt
    apt=(apt-get -qq -o "Dir::Etc::sourcelist=$PWD/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$PWD/lists" -o "Dir::Cache=$PWD/cache"
         -o Dir::State::status=/dev/null -o Debug::NoLocking=1 -o APT::Sandbox::User=)
    "${apt[@]}" update
    "${apt[@]}" download python2.7-minimal libpython2.7-minimal libpython2.7-stdlib libssl1.1 libffi7
    for package in *.deb; do dpkg -x "$package" ../debian; done
    cd ..
    python2=debian/usr/bin/python2.7
fi

export LD_LIBRARY_PATH=$folder/debian/usr/lib/$(uname -m)-linux-gnu
"$python" -m venv tools
tools/bin/pip install --quiet 'virtualenv<20.22'    # the last that makes environments of Python 2.7
tools/bin/virtualenv --quiet --python "$python2" python2
python2/bin/pip --no-python-version-warning install --quiet autobahntestsuite==25.10.1
printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s/python2/bin/python "$@"\n' "$LD_LIBRARY_PATH" "$folder" >suite
chmod +x suite
