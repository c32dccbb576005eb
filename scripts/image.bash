# Container images without a registry and without a container engine; sourced, never run.

# unpack_packages ROOT PACKAGE...: the files of Debian packages, into a folder; nothing is installed.
unpack_packages() {
  local root=$1 fetched package
  shift
  fetched=$(mktemp -d)
  # apt's own user may not write there, which it would tell.
  (cd "$fetched" && apt-get -qq -o APT::Sandbox::User=root download "$@" >&2) ||
    fail "the packages $* cannot be fetched" 'run apt-get update; on other distributions than Debian this cannot be done'
  for package in "$fetched"/*.deb; do dpkg-deb -x "$package" "$root"; done
  rm -r "$fetched"
}

# make_image NAME ROOT OUT ENTRYPOINT [ARGUMENT...]: one layer from the folder ROOT, as an archive that "ctr images import" and
# "docker load" read. The same folder gives the same archive.
make_image() {
  local name=$1 root=$2 out=$3 work layer architecture entrypoint
  shift 3
  work=$(mktemp -d)
  case $(uname -m) in aarch64) architecture=arm64 ;; *) architecture=amd64 ;; esac
  entrypoint=$(printf '"%s",' "$@")
  pack_folder "$work/layer.tar" "$root" .
  layer=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
  printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":[%s],"WorkingDir":"/"},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$architecture" "${entrypoint%,}" "$layer" >"$work/config.json"
  printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$name" >"$work/manifest.json"
  pack_folder "$out" "$work" manifest.json config.json layer.tar
  rm -rf "$work"
}

# pack_folder OUT FOLDER NAME...
pack_folder() {
  local out=$1 folder=$2
  shift 2
  tar -C "$folder" --owner 0 --group 0 --numeric-owner --sort name --mtime @0 -cf "$out" "$@"
}
