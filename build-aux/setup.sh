#!/usr/bin/env bash
# Install the Debian/Ubuntu packages that are missing, where this user may; elsewhere name them.
#   setup.sh [packages…]   more packages than those to build, test and report
set -euo pipefail

packages=(build-essential autoconf pkg-config git openmpi-bin libopenmpi-dev libopenblas-dev
  liblapacke-dev libhdf5-openmpi-dev libconfig-dev libcjson-dev libxxhash-dev librandom123-dev libfftw3-dev
  libcmocka-dev python3 python3-numpy python3-scipy python3-h5py python3-matplotlib "$@")

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  exit 0 # not Debian: configure names what is missing
fi
missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

install=(apt-get install --yes --no-install-recommends "${missing[@]}")
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  as_root=(sudo --non-interactive)
  if ! "${as_root[@]}" true 2>/dev/null; then
    echo "setup: packages are missing, and this user may not install them." >&2
    echo "  Debian/Ubuntu, as root: apt-get update && ${install[*]}" >&2
    echo "  Clusters: load the modules of MPI, parallel HDF5 and OpenBLAS, or use Spack; then run" >&2
    echo "  'make SETUP=no', which names what is still missing." >&2
    exit 1
  fi
fi

echo "setup: installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A foreign package source that is out of reach must not stop the others: `install` has the last word.
"${as_root[@]}" apt-get update </dev/null >"$log" 2>&1 || true
if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}" \
  -o DPkg::Lock::Timeout=300 </dev/null >>"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "setup: could not install; as root, by hand: apt-get update && ${install[*]}" >&2
  exit 1
fi
