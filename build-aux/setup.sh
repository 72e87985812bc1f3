#!/usr/bin/env bash
# Install the Debian/Ubuntu packages that are missing, where this user may; elsewhere name them.
#   setup.sh [packages…]   more packages than those to build, test and report
set -euo pipefail

packages=(build-essential autoconf pkg-config git openmpi-bin libopenmpi-dev libopenblas-dev
  liblapacke-dev libhdf5-openmpi-dev libconfig-dev libcjson-dev libxxhash-dev librandom123-dev
  libcmocka-dev python3 python3-numpy python3-scipy python3-h5py python3-matplotlib "$@")

if ! command -v dpkg-query >/dev/null; then
  exit 0 # not Debian: configure names what is missing
fi
missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$state" = "install ok installed" ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

install="apt-get install --yes --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -eq 0 ]; then
  as_root=()
elif command -v sudo >/dev/null && sudo --non-interactive true 2>/dev/null; then
  as_root=(sudo --non-interactive)
else
  echo "setup: packages are missing and this user may not install them." >&2
  echo "  Debian/Ubuntu, by an administrator: $install" >&2
  echo "  Clusters: load the modules of MPI, parallel HDF5 and OpenBLAS, or use Spack; then run" >&2
  echo "  'make SETUP=no', which names what is still missing." >&2
  exit 1
fi
echo "setup: installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { "${as_root[@]}" apt-get update &&
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive $install; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "setup: could not install; run by hand: $install" >&2
  exit 1
fi
