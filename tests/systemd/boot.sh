#!/bin/bash
# Boot a throw-away systemd (PID 1) on a copy-on-write view of this machine and keep it until standard input ends.
#
#   boot.sh [-m unified|hybrid] [-r DIR]... [-b DIR]...      -r: shared read-only, -b: shared read-write, same path
#
# Prints `pid N` (systemd's, as this machine sees it) when it is up; the caller enters it with `nsenter -t N -a`.
# Root is an overlay of / whose upper layer is in memory: users, units and files that are made inside vanish with it.
# Own mount, pid, net, uts, ipc and cgroup namespaces. When this script dies, also by SIGKILL, all of it dies; then
# empty cgroup folders named kagehost.* may stay, which the next boot removes.
#
# Needs root, util-linux, iproute2, systemd, libpam-systemd, dbus and cgroups that may be written. Exit 125: no boot.
set -u
MODE=hybrid READ_ONLY=() SHARED=()
while getopts m:r:b: o; do
  case $o in
    m) MODE=$OPTARG ;;
    r) READ_ONLY+=("$(realpath "$OPTARG")") ;;
    b) SHARED+=("$(realpath "$OPTARG")") ;;
    *) exit 2 ;;
  esac
done

# The hierarchies of cgroup version 1 that this machine has, and where version 2 is.
V1=$(awk '{for(i=7;i<=NF;i++)if($i=="-"&&$(i+1)=="cgroup"){print $5;break}}' /proc/self/mountinfo)
U2=/sys/fs/cgroup/unified
[ -d $U2 ] || U2=/sys/fs/cgroup
[ -n "$V1" ] || MODE=unified

for h in $U2 $V1; do # left by hosts that were killed: the number at the end is the pid of their script
  for old in "$h"/kagehost.*; do
    [ -d "$old" ] && ! kill -0 "${old##*.}" 2>/dev/null && find "$old" -depth -type d -exec rmdir {} + 2>/dev/null
  done
done

W=$(mktemp -d /tmp/kagehost.XXXXXX) ID=kagehost.$$ CGS=() KEEPER=""
cleanup() {
  [ -n "$KEEPER" ] && { kill -9 "$KEEPER"; wait "$KEEPER"; } 2>/dev/null
  for c in ${CGS[@]+"${CGS[@]}"}; do
    for _ in $(seq 40); do
      find "$c" -depth -type d -exec rmdir {} + 2>/dev/null
      [ -d "$c" ] || break
      sleep 0.05
    done
  done
  rm -f "$W.init"
  rmdir "$W"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# One private cgroup in every hierarchy; without it systemd would make its slices in the machine's own.
for h in $U2 $V1; do
  mkdir "$h/$ID" || exit 125
  CGS+=("$h/$ID")
  case $h in
    */cpuset) cat "$h/cpuset.cpus" >"$h/$ID/cpuset.cpus" && cat "$h/cpuset.mems" >"$h/$ID/cpuset.mems" ;;
  esac
done

# What runs first inside the namespaces: makes the root, then becomes systemd.
cat >"$W.init" <<'INIT'
set -eu
W=$1 MODE=$2 R=$1/root; shift 2
hostname kagehost
ip link set lo up
mount -t tmpfs -o mode=755 ov "$W"
mkdir "$W"/{up,wk,root}
mount -t overlay -o lowerdir=/,upperdir="$W"/up,workdir="$W"/wk overlay "$R"
mount -t proc -o nosuid,nodev,noexec proc "$R"/proc
mount --bind "$R"/proc/sys "$R"/proc/sys
mount -o remount,ro,bind "$R"/proc/sys
mount -t sysfs -o ro sysfs "$R"/sys
for d in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs "$R/$d"; done
chmod 1777 "$R"/tmp
mkdir "$R"/dev/{pts,shm}
for n in null zero full random urandom tty; do touch "$R/dev/$n"; mount --bind /dev/$n "$R/dev/$n"; done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$R"/dev/pts
ln -s pts/ptmx "$R"/dev/ptmx
mount -t tmpfs -o mode=1777 shm "$R"/dev/shm
ln -s /proc/self/fd "$R"/dev/fd
for i in 0:stdin 1:stdout 2:stderr; do ln -s fd/${i%:*} "$R/dev/${i#*:}"; done
how=ro
for b in "$@"; do
  if [ "$b" = -- ]; then how=rw; continue; fi
  mkdir -p "$R$b"
  mount --bind "$b" "$R$b"
  [ $how = rw ] || mount -o remount,ro,bind "$R$b"
  # Everybody inside may walk to it, whatever its parents allow outside.
  up=$(dirname "$b")
  while [ "$up" != / ]; do chmod o+x "$R$up" 2>/dev/null || :; up=$(dirname "$up"); done
done
if [ "$MODE" = unified ]; then
  mount -t cgroup2 cgroup2 "$R"/sys/fs/cgroup
else
  mount -t tmpfs -o mode=755 cg "$R"/sys/fs/cgroup
  mkdir "$R"/sys/fs/cgroup/{systemd,unified}
  mount -t cgroup -o none,name=systemd systemd "$R"/sys/fs/cgroup/systemd
  mount -t cgroup2 cgroup2 "$R"/sys/fs/cgroup/unified
  for c in $(awk -F: '$2!=""&&$2!~/=/{print $2}' /proc/self/cgroup); do
    mkdir "$R/sys/fs/cgroup/$c"
    mount -t cgroup -o "$c" "$c" "$R/sys/fs/cgroup/$c"
  done
fi
S=$R/etc/systemd/system
rm -rf "$S"/*.wants "$R"/etc/systemd/user/*.wants
: >"$R"/etc/fstab
echo kagehost >"$R"/etc/hostname
tr -d - </proc/sys/kernel/random/uuid >"$R"/etc/machine-id
for u in systemd-sysctl.service systemd-udevd.service systemd-udev-trigger.service systemd-timesyncd.service \
  systemd-networkd.service timers.target getty.target remote-fs.target systemd-modules-load.service \
  systemd-binfmt.service systemd-remount-fs.service proc-sys-fs-binfmt_misc.automount dev-hugepages.mount \
  dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
  sys-fs-fuse-connections.mount; do ln -sf /dev/null "$S/$u"; done
cat >"$S"/kagehost.target <<'UNIT'
[Unit]
Requires=basic.target
After=basic.target
Wants=dbus.service systemd-logind.service systemd-user-sessions.service
AllowIsolate=yes
UNIT
cd "$R"
mkdir -p mnt/old
pivot_root . mnt/old
umount -l /mnt/old
exec env -i container=kagehost PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
  /usr/lib/systemd/systemd --unit=kagehost.target --log-target=journal
INIT

# shellcheck disable=SC2016  # expanded by the inner shell
sh -c 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"' sh "${CGS[@]}" -- \
  setpriv --pdeathsig KILL unshare --mount --cgroup --pid --fork --uts --ipc --net --kill-child \
  --propagation private bash "$W.init" "$W" "$MODE" ${READ_ONLY[@]+"${READ_ONLY[@]}"} -- ${SHARED[@]+"${SHARED[@]}"} \
  </dev/null >&2 &
KEEPER=$!

P1=""
in_host() { nsenter -t "$P1" -m -p -u -i -n -C -- "$@"; }
for _ in $(seq 600); do
  kill -0 $KEEPER 2>/dev/null || break
  [ -n "$P1" ] || read -r P1 _ <"/proc/$KEEPER/task/$KEEPER/children" 2>/dev/null
  if [ -n "$P1" ] && [ "$(cat "/proc/$P1/comm" 2>/dev/null)" = systemd ]; then
    case $(in_host systemctl is-system-running 2>/dev/null) in
      running | degraded)
        echo "pid $P1"
        cat <&0 >/dev/null & # a background job, so that a signal to this script acts at once
        wait $!
        exit 0
        ;;
    esac
  fi
  sleep 0.05
done
echo "systemd did not boot" >&2
[ -n "$P1" ] && in_host journalctl -b --no-pager 2>/dev/null | tail -50 >&2
exit 125
