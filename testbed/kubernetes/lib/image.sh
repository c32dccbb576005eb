# shellcheck shell=bash
# Container images without a registry and without a container engine; sourced.

# make_image NAME ROOT OUT ENTRYPOINT: one layer from the folder ROOT, as an archive that "ctr images import" reads. The same folder
# gives the same archive.
make_image() {
  local name=$1 root=$2 out=$3 entrypoint=$4 work layer architecture
  work=$(mktemp -d)
  case $(uname -m) in aarch64) architecture=arm64 ;; *) architecture=amd64 ;; esac
  pack "$work/layer.tar" "$root" .
  layer=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
  printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["%s"],"WorkingDir":"/"},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$architecture" "$entrypoint" "$layer" >"$work/config.json"
  printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$name" >"$work/manifest.json"
  pack "$out" "$work" manifest.json config.json layer.tar
  rm -rf "$work"
}

# pack OUT FOLDER NAME...
pack() {
  local out=$1 folder=$2
  shift 2
  tar -C "$folder" --owner 0 --group 0 --numeric-owner --sort name --mtime @0 -cf "$out" "$@"
}
