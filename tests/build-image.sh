#!/usr/bin/env bash
# tests/build-image.sh SITE WHEELS PYTHON: build the Dockerfile in SITE with Buildah, without a registry.
#
# The base image is made here and holds folders, users and PYTHON; the programs are this machine's,
# mounted read-only. WHEELS takes the place of the package index. Prints Buildah's description of the
# image as JSON, and lists its files with owner and mode in SITE/files.txt. Needs root.
set -euo pipefail
site=$1 wheels=$2 python=$(readlink -f "$3")
home=$(dirname "$(dirname "$python")")
store=$(mktemp -d)
build() { buildah --root "$store/root" --runroot "$store/run" --storage-driver vfs "$@"; }
trap 'build umount --all >/dev/null 2>&1; build rm --all >/dev/null 2>&1; rm -rf "$store"' EXIT

begin=$(build from scratch)
root=$(build mount "$begin")
mkdir -p "$root"/{base,dev,etc,proc,root,run,srv,sys,tmp,usr,var}
for name in bin sbin lib lib64; do ln -s "usr/$name" "$root/$name"; done
cp /etc/{passwd,group,shadow,gshadow,login.defs,nsswitch.conf,ld.so.cache} "$root/etc"
printf '[install]\nno-index = yes\nno-deps = yes\n' >"$root/etc/pip.conf"
ln -s "$python" "$root/base/python"
build umount "$begin" >/dev/null
build config --env PATH=/base:/usr/bin:/bin:/usr/sbin:/sbin "$begin"
name=$(sed -n 's/^FROM \([^ ]*\)$/\1/p' "$site/Dockerfile")
build commit --quiet "$begin" "$name" >/dev/null

volumes=(--volume /usr:/usr:ro --volume "$wheels:$wheels:ro")
[[ $home == /usr* ]] || volumes+=(--volume "$home:$home:ro")
build build-using-dockerfile --isolation chroot --pull-never --tag mysite \
  "${volumes[@]}" "$site" >&2
build inspect --type image mysite
made=$(build from --pull-never mysite)
cd "$(build mount "$made")"
find srv venv/lib -name __pycache__ -prune -o -printf '%u:%m %p\n' >"$site/files.txt"
