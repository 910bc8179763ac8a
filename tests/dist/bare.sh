#!/bin/sh
# Run a command in a root file system that holds a shell, a few tools and nothing else: no Python, no Kage, no /usr.
#   bare.sh ROOT FILE COMMAND...     FILE becomes /opt/kage with links kaged and kagectl in /bin
# Everything that it starts ends with it (a pid namespace). Needs root, or user namespaces.
set -eu
root=$1 file=$2
shift 2
mkdir -p "$root/bin" "$root/opt" "$root/proc" "$root/dev" "$root/tmp" "$root/root"
for tool in sh cat env sleep ls mkdir rm; do
  path=$(command -v "$tool")
  cp -L "$path" "$root/bin/$tool"
  for library in $(ldd "$path" | grep -o '/[^ ]*'); do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
done
ln -f "$file" "$root/opt/kage" 2>/dev/null || cp "$file" "$root/opt/kage"
ln -sf /opt/kage "$root/bin/kaged"
ln -sf /opt/kage "$root/bin/kagectl"
: >"$root/dev/null" && : >"$root/dev/urandom"
export root
# shellcheck disable=SC2016  # for the inner shell
exec unshare $([ "$(id -u)" = 0 ] || echo --map-root-user) --mount --pid --fork --kill-child sh -c '
  mount -t proc proc "$root/proc"
  mount --bind /dev/null "$root/dev/null"
  mount --bind /dev/urandom "$root/dev/urandom"
  exec chroot "$root" /bin/env -i PATH=/bin HOME=/root TERM=dumb "$@"' bare "$@"
