# shellcheck shell=bash
# What TestTwoChainsRunUnderSystemd has systemd run, in the project's folder; it ends with "all is well".
set -euo pipefail
exec >"$WORK/log" 2>&1
trap 'journalctl --no-pager --unit "op-geth@*" --unit "set-sidecar@*" | tail -n 40' ERR
set -x

for chain in one two; do
    op-stack/systemd/install "$chain"
    install -m 644 -t "/etc/set-chain/$chain" "$WORK/genesis.json"
done
awk -F= -v OFS== '/^GETH_[A-Z_]*PORT=/ { $2 += 10000 } 1' /etc/set-chain/one/op-geth.env >/etc/set-chain/two/op-geth.env

ask() { # PORT
    curl --silent --fail --header content-type:application/json \
        --data '{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}' "http://127.0.0.1:$1"
}
systemctl start op-geth@one op-geth@two
ask 8545
ask 18545

# The sidecar reads its secrets, answers, and reads its configuration again. Nothing is on this chain for it to anchor.
settings=/etc/set-chain/one
printf 'password\n' >"$settings/secrets/sender-password"
printf 'ss_key\n' >"$settings/secrets/sequencer-api-key"
op-geth account new --keystore "$WORK/keys" --password "$settings/secrets/sender-password" --lightkdf
install -m 600 "$WORK/keys/"* "$settings/secrets/sender"
chmod 600 "$settings/secrets/"*
cat >"$settings/set-sidecar.env" <<'ENV'
SET__CHAIN__REGISTRY="0x1111111111111111111111111111111111111111"
SET__CHAIN__PAYMASTER="0x2222222222222222222222222222222222222222"
ENV
sed -i -e 's/^kind = "env"$/kind = "keystore"/' -e '/^variable = /d' -e 's/^mode = "auto"$/mode = "bulk"/' "$settings/chain-config.toml"
systemctl start set-sidecar@one
# shellcheck source=/dev/null
set -a && . "$settings/set-sidecar.env" && set +a
SET__SEQUENCER__API_KEY=file:$settings/secrets/sequencer-api-key SET__SIGNERS__COMMITMENTS__PATH=$settings/secrets/sender \
    SET__SIGNERS__COMMITMENTS__PASSWORD_FILE=$settings/secrets/sender-password \
    set-sidecar ready --config "$settings/chain-config.toml" --wait 3m
systemctl reload set-sidecar@one
until journalctl --quiet --unit set-sidecar@one --grep 'configuration read again'; do
    sleep 0.2
done
systemctl stop set-sidecar@one
[ "$(systemctl show --property=Result --value set-sidecar@one)" = success ]

# Neither another chain's op-geth nor the sidecar of the same chain gets at a JWT or at a chain's data.
for user in op-geth-two set-sidecar-one; do
    for file in /etc/set-chain/one/secrets/jwt /run/credentials/op-geth@one.service/jwt /var/lib/op-geth/one/geth; do
        if setpriv --reuid="$user" --clear-groups --regid="$user" test -r "$file"; then
            echo "$user reads $file"
            exit 1
        fi
    done
done

# Killed, it is started again, on its own data.
systemctl kill --signal=KILL op-geth@one
curl --silent --output /dev/null --retry 180 --retry-delay 1 --retry-all-errors http://127.0.0.1:8545
until [ "$(systemctl show --property=NRestarts --value op-geth@one)" -ge 1 ] && systemctl --quiet is-active op-geth@one; do
    sleep 0.2
done
ask 8545

# Told to stop, it ends by itself and in time.
systemctl stop op-geth@one op-geth@two
[ "$(systemctl show --property=Result --value op-geth@one)" = success ]
set +x
echo "all is well"
