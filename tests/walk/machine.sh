#!/usr/bin/env bash
# tests/walk/machine.sh LOWER FOLDER: start systemd on the files of LOWER, as on a machine of its own.
#
# It has its own mounts, processes and network. What it writes is kept in memory and gone when it
# ends; LOWER is only read. The id of its first process is printed. Needs root.
set -euo pipefail
lower=$1 folder=$2 stage=${3:-outside}
root=$folder/root

devices() {
  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  for name in null zero full random urandom tty; do
    touch "$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
  done
  mkdir "$root/dev/pts" "$root/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
  mount -t tmpfs tmpfs "$root/dev/shm"
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
  touch "$root/dev/console"
}

kernel() {  # of the kernel's settings it may change those of its own network
  mount -t proc proc "$root/proc"
  mount --bind "$root/proc/sys" "$root/proc/sys"
  mount -o remount,bind,ro "$root/proc/sys"
  mount --bind /proc/sys/net "$root/proc/sys/net"
  mount -t sysfs -o ro sysfs "$root/sys"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
}

if [ "$stage" = inside ]; then
  mount -t overlay -o "lowerdir=$lower,upperdir=$folder/upper,workdir=$folder/work" overlay "$root"
  devices
  kernel
  mount -t tmpfs tmpfs "$root/run"
  # Whatever this machine starts by itself, that one does not.
  ln -sf /dev/null "$root/etc/systemd/system/systemd-tmpfiles-setup.service"
  cd "$root"
  pivot_root . .  # in a chroot, services could have no users of their own
  umount -l .
  export container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin
  exec /lib/systemd/systemd --system --log-target=journal --show-status=no systemd.unit=basic.target
fi

mkdir -p "$folder"
mount -t tmpfs tmpfs "$folder"
mkdir "$folder"/{upper,work,root,cgroup}
mount -t cgroup2 cgroup2 "$folder/cgroup"
group=$folder/cgroup/sync-streams-walk-$$
mkdir "$group"
echo $$ >"$group/cgroup.procs"
unshare --mount --net --pid --cgroup --uts --fork --kill-child bash "$0" "$lower" "$folder" inside &
until first=$(cat "/proc/$!/task/$!/children") && [ "$first" ]; do
  kill -0 $! && sleep 0.05
done
trap 'kill -KILL $first || true' TERM
echo "Its first process is ${first% }."
while kill -0 $! 2>/dev/null; do wait || true; done
echo $$ >"$folder/cgroup/cgroup.procs"
# Processes that were ended with it need a moment.
until find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; do sleep 0.05; done
