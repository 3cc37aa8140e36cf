# shellcheck shell=bash
# Sourced by what boots machines of tests/vm, after $build, the folder with what was built. Gives: $vm (scratch, kept),
# $image (a kernel), need_machine, make_root, add_program, pack_root.
#
# Theory of operation. The initramfs holds a static busybox, programs with the shared libraries they map, the modules of
# the kernel that a machine needs, and scripts. /init copies everything to a tmpfs and switches root to it, because
# pivot_root (which every sandbox does) is refused on the initramfs itself. Then /payload is process 1.
#
#   AISBX_VM_KERNEL=<vmlinuz>
#   AISBX_VM_SUITE=<a suite of Debian whose kernel is taken instead of the host's, say trixie-backports>
vm_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
vm=${build:?}/vm
kept=${AISBX_VM_SUITE:+-$AISBX_VM_SUITE} # of each suite a kernel
apt=()                                   # options by which apt knows that suite, and no other

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}
missing() {
    printf '%s: %s: skipped\n' "${0##*/}" "$*" >&2
    exit 77
}

# In the order in which they are loaded; a kernel that has one built in has no file of it.
modules=(virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover net_failover virtio_net overlay)

keep_modules() {
    local i file
    rm -rf "$vm/modules$kept"
    mkdir -p "$vm/modules$kept"
    for i in "${!modules[@]}"; do
        file=$(find "$vm/kernel$kept" -name "${modules[i]}.ko*" | head -n 1)
        case $file in
        '') ;;
        *.ko) cp "$file" "$vm/modules$kept/$i-${modules[i]}.ko" ;;
        *.ko.xz) xz -dc "$file" >"$vm/modules$kept/$i-${modules[i]}.ko" ;;
        *.ko.zst) zstd -qdc "$file" >"$vm/modules$kept/$i-${modules[i]}.ko" ;;
        esac
    done
}

# Lists of packages of $AISBX_VM_SUITE, from where those of the host's Debian come, in a folder of our own.
know_suite() {
    local uri folder=$vm/apt$kept
    uri=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 == "Debian" && $2 !~ /security/ {print $2; exit}')
    [[ -n $uri ]] || return 1
    mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $AISBX_VM_SUITE main" >"$folder/sources.list"
    apt=(-o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$folder/lists"
        -o "Dir::Cache=$folder/cache" -o APT::Sandbox::User=root)
    apt-get -qq "${apt[@]}" update >&2
}

# Prints the path of a kernel image, downloading a distribution's package when there is none yet.
kernel() {
    local image name meta
    if [[ -n ${AISBX_VM_KERNEL:-} ]]; then
        echo "$AISBX_VM_KERNEL"
        return
    fi
    for image in "$vm/kernel$kept"/boot/vmlinuz-*; do
        [[ ! -e $image || ! -d $vm/modules$kept ]] || { echo "$image" && return; }
    done
    [[ -z $kept ]] || know_suite || return 1
    for meta in linux-image-cloud-amd64 linux-image-virtual; do
        name=$(apt-cache "${apt[@]}" depends "$meta" 2>/dev/null | awk '/Depends: linux-image-[0-9]/ {print $2; exit}')
        [[ -z $name ]] || break
    done
    [[ -n $name ]] || return 1
    rm -rf "$vm/kernel$kept" "$vm/download"
    mkdir -p "$vm/download"
    # Ubuntu, and Debian from 14 on, have the modules in a package of their own, that one the kernel, too.
    for name in "$name" "linux-modules-${name#linux-image-}" "linux-binary-${name#linux-image-}"; do
        [[ $name = linux-image-* ]] || apt-cache "${apt[@]}" show "$name" >/dev/null 2>&1 || continue
        (cd "$vm/download" && apt-get -qq "${apt[@]}" -o APT::Sandbox::User=root download "$name") >&2 || return 1
    done
    for name in "$vm"/download/*.deb; do
        dpkg-deb -x "$name" "$vm/kernel$kept"
    done
    keep_modules
    mkdir -p "$vm/kernel$kept/boot"
    find "$vm/kernel$kept" -path '*/modules/*' -name vmlinuz -exec mv {} "$vm/kernel$kept/boot/vmlinuz${kept:--host}" \;
    rm -rf "$vm/download" "$vm/kernel$kept/lib" "$vm/kernel$kept/usr/lib"
    ls "$vm/kernel$kept"/boot/vmlinuz-*
}

# Sets $busybox and $image, or ends with 77.
need_machine() {
    command -v qemu-system-x86_64 >/dev/null || missing "no qemu-system-x86_64 (package qemu-system-x86)"
    command -v cpio >/dev/null || missing "no cpio"
    busybox=$(command -v busybox) || missing "no busybox (package busybox-static)"
    ldd "$busybox" >/dev/null 2>&1 && missing "busybox is not static (package busybox-static)"
    [[ -x $build/bin/aisbx ]] || die "no aisbx in $build/bin: build first"
    image=$(kernel) || missing "no kernel package could be downloaded"
}

# What ld.so would map for a program or a library.
add_libraries() {
    local library
    for library in $(ldd "$1" 2>/dev/null | grep -o '/[^ ]*'); do
        [[ -e $root$library ]] || install -D "$library" "$root/usr/${library#/usr/}"
    done
}

# Copies a program, without its debug information, and its libraries.
add_program() {
    local program=$1 target=$2
    install -D "$program" "$target/${program##*/}"
    strip "$target/${program##*/}" 2>/dev/null || true # a script has nothing to strip
    add_libraries "$program"
}

# make_root FOLDER: sets $root to it, with busybox, modules, users root and user, and what every machine has.
make_root() {
    local link
    root=$1
    rm -rf "$root"
    mkdir -p "$root"/{usr/{bin,sbin,lib,lib64},dev,proc,sys,tmp,run,root,etc,home/user,newroot,opt}
    for link in bin sbin lib lib64; do
        ln -s "usr/$link" "$root/$link"
    done
    install "$busybox" "$root/usr/bin/busybox"
    for link in $("$busybox" --list); do
        [[ -e $root/usr/bin/$link ]] || ln -s busybox "$root/usr/bin/$link"
    done
    [[ -n ${AISBX_VM_KERNEL:-} ]] || cp -r "$vm/modules$kept" "$root/usr/lib/modules"
    printf '%s\n' 'root:x:0:0::/root:/bin/sh' 'user:x:1000:1000::/home/user:/bin/sh' \
        'nobody:x:65534:65534::/:/bin/false' >"$root/etc/passwd"
    printf '%s\n' 'root:x:0:' 'user:x:1000:' 'nogroup:x:65534:' >"$root/etc/group"
    install -m 755 "$vm_dir/init" "$root/init"
    install -m 755 "$vm_dir/prepare" "$root/prepare"
}

# pack_root PAYLOAD FILE: the initramfs.
pack_root() {
    install -m 755 "$1" "$root/payload"
    (cd "$root" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) >"$2"
}
