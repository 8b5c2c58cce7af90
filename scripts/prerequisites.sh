# shellcheck shell=bash
# What the scripts need, checked or installed; sourced, never run.

# Prints a heading for a step that takes a while.
step() {
    printf '\n\033[1m==> %s\033[0m\n' "$*"
}

# Ends the script with what is wrong and what to do.
fail() {
    printf '\n%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Names every missing tool at once, with how to get it.
require_tools() {
    local missing=()
    command -v cargo >/dev/null || missing+=("  Rust (cargo): https://rustup.rs")
    command -v node >/dev/null || missing+=("  Node.js 20 or newer (node, npm): https://nodejs.org")
    command -v npm >/dev/null || missing+=("  npm, which comes with Node.js: https://nodejs.org")
    command -v cc >/dev/null || missing+=("  a C compiler (cc): on Debian and Ubuntu, apt-get install build-essential")
    if [ ${#missing[@]} -gt 0 ]; then
        fail "missing on this machine:
$(printf '%s\n' "${missing[@]}")"
    fi
    local major
    major=$(node --version | sed -E 's/^v([0-9]+).*/\1/')
    [ "$major" -ge 20 ] || fail "Node.js $(node --version) is too old; 20 or newer is needed: https://nodejs.org"
}

# Installs the pinned contract tools (anvil, forge, solc) beside the project, once per lock file.
install_contract_tools() {
    local marker=contracts/node_modules/.installed-lock
    if [ -f "$marker" ] && cmp -s contracts/package-lock.json "$marker"; then
        return
    fi
    step "Installing anvil, forge and solc into contracts/node_modules (about 200 MB, once)"
    npm --prefix contracts ci --ignore-scripts --no-fund --no-audit ||
        fail "npm could not install the contract tools; its message is above"
    cp contracts/package-lock.json "$marker"
}

# Installs the pinned contracts of L1, compiled, that an OP Stack chain on this machine settles on.
install_l1_contracts() {
    local marker=op-stack/l1-contracts/node_modules/.installed-lock
    if [ -f "$marker" ] && cmp -s op-stack/l1-contracts/package-lock.json "$marker"; then
        return
    fi
    step "Installing the OP Stack's L1 contracts into op-stack/l1-contracts/node_modules (about 130 MB, once)"
    npm --prefix op-stack/l1-contracts ci --ignore-scripts --no-fund --no-audit ||
        fail "npm could not install the L1 contracts; its message is above"
    cp op-stack/l1-contracts/package-lock.json "$marker"
}
