# What the setup scripts share; sourced, never run.

say() { printf 'setup: %s\n' "$*" >&2; }

# fail MESSAGE REMEDY: the last words of a script.
fail() {
  printf 'setup: %s\nremedy: %s\n' "$1" "$2" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# hash_of FILE...: one digest over names and contents, the same on every machine.
hash_of() { sha256sum -- "$@" | sha256sum | cut -d ' ' -f 1; }

# run_logged LOG COMMAND...: keeps the output in LOG and shows it only when the command fails.
run_logged() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  if "$@" >"$log" 2>&1 </dev/null; then return 0; fi
  cat "$log" >&2
  return 1
}
