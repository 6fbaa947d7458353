# Sourced by the scripts beside it: installs what a fresh machine lacks. Only the npm registry and the
# distribution's packages are used.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=$ROOT/.cache
mkdir -p "$CACHE"

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# install_packages PACKAGE...: Debian names; Arch has most of them under the same name.
install_packages() {
  [ "$(id -u)" = 0 ] || die "must install $* : run as root, or install them yourself"
  if command -v apt-get >/dev/null; then
    if [ ! -e "$CACHE/apt-updated" ]; then
      apt-get update -qq -o DPkg::Lock::Timeout=300 || true
      touch "$CACHE/apt-updated"
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" >"$CACHE/apt.log" 2>&1
  elif command -v pacman >/dev/null; then
    pacman -Sy --needed --noconfirm "$@" >"$CACHE/pacman.log" 2>&1
  else
    return 1
  fi
}

# need COMMAND DEBIAN-PACKAGE ARCH-PACKAGE: makes sure that COMMAND exists.
need() {
  command -v "$1" >/dev/null && return 0
  say "installing $1"
  if command -v pacman >/dev/null; then install_packages "$3"; else install_packages "$2"; fi
  command -v "$1" >/dev/null
}

# Puts a Node of at least version 20 first on the path (Debian 12 packages 18; the registry ships newer ones).
need_node() {
  need npm npm npm || die "npm could not be installed"
  local major
  major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
  if [ "$major" -lt 20 ]; then
    say "installing a newer Node beside the project"
    npm install --silent --no-audit --no-fund --prefix "$CACHE/node" node@22 >"$CACHE/node.log" 2>&1
    PATH=$CACHE/node/node_modules/node/bin:$PATH
    export PATH
  fi
}

# The npm packages that package-lock.json names, once per version of it.
need_modules() {
  need_node
  if ! cmp -s "$ROOT/package-lock.json" "$ROOT/node_modules/.installed-lock"; then
    # Not "npm ci": it insists on packages for other operating systems that some mirrors of the registry lack.
    say "installing npm packages"
    (cd "$ROOT" && npm install --no-save --no-audit --no-fund --loglevel=error >"$CACHE/npm.log" 2>&1) || { cat "$CACHE/npm.log" >&2; die "npm install failed"; }
    cp "$ROOT/package-lock.json" "$ROOT/node_modules/.installed-lock"
  fi
  BUN=$ROOT/node_modules/.bin/bun
  "$BUN" --version >/dev/null 2>&1 || (cd "$ROOT" && npm rebuild --silent bun)
}
