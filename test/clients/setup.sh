#!/usr/bin/env bash
# Installs what the interoperability, fault and fuzz tests need beyond npm: apt packages, the
# JavaScript clients, Apache Kafka's jars, librdkafka for Python, and our small Java and Go clients.
# Idempotent: a second run only looks. Quiet unless something fails.
set -euo pipefail
cd "$(dirname "$0")"

log=$(mktemp /tmp/millrace-setup.XXXXXX)
step() {
  local title=$1
  shift
  if ! "$@" >"$log" 2>&1; then
    echo "setup: $title failed:" >&2
    tail -n 40 "$log" >&2
    exit 1
  fi
}

packages=()
command -v kcat >/dev/null || packages+=(kcat)
command -v etcd >/dev/null || packages+=(etcd-server)
command -v strace >/dev/null || packages+=(strace)
command -v javac >/dev/null || packages+=(default-jdk-headless)
command -v mvn >/dev/null || packages+=(maven)
command -v mkfs.ext4 >/dev/null || packages+=(e2fsprogs)
command -v losetup >/dev/null || packages+=(mount)
command -v python3 >/dev/null || packages+=(python3)
if ((${#packages[@]})); then
  export DEBIAN_FRONTEND=noninteractive
  step 'apt-get update' apt-get -q update
  step "apt-get install ${packages[*]}" apt-get -qy install --no-install-recommends "${packages[@]}"
fi

# A stamp names the inputs that a result was made from: changed inputs make the step run again.
fresh() { [[ -f .stamps/$1 && $(cat ".stamps/$1") == "$2" ]]; }
stamp() { mkdir -p .stamps && echo "$2" >".stamps/$1"; }
digest() { cat "$@" | sha256sum | cut -d' ' -f1; }

key=$(digest package-lock.json)
if ! fresh npm "$key"; then
  step 'npm ci' npm ci --ignore-scripts --no-audit --no-fund
  stamp npm "$key"
fi

key=$(digest pom.xml)
if ! fresh jars "$key"; then
  rm -rf jars
  step 'Apache Kafka jars' mvn -q -B dependency:copy-dependencies -DoutputDirectory=jars
  stamp jars "$key"
fi

key=$(digest pom.xml java/*.java)
if ! fresh classes "$key"; then
  rm -rf classes
  step 'javac' javac -nowarn -cp 'jars/*' -d classes java/*.java
  stamp classes "$key"
fi

key="$(digest python/requirements.txt) $(python3 -V)"
if ! fresh python "$key"; then
  rm -rf python/site
  python3 -m pip --version >/dev/null 2>&1 || step 'apt-get install python3-pip' \
    apt-get -qy install --no-install-recommends python3-pip
  step 'pip' python3 -m pip install -q --disable-pip-version-check --no-compile \
    --target python/site -r python/requirements.txt
  stamp python "$key"
fi

# Go is optional: without a toolchain the franz-go tests report themselves as skipped.
if command -v go >/dev/null; then
  key=$(digest go/go.mod go/go.sum go/*.go)
  if ! fresh go "$key"; then
    step 'go build' env -C go CGO_ENABLED=0 go build -o client .
    stamp go "$key"
  fi
fi
rm -f "$log"
