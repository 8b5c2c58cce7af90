// The command line of scripts/deploy: what it takes, checked before anything is asked of a chain.
import {readFileSync} from "node:fs";
import {parseArgs} from "node:util";
import {getAddress, isAddress} from "viem";
import {privateKeyToAccount} from "viem/accounts";

import {Refusal} from "./refusal.js";

export const USAGE = `Usage: scripts/deploy --rpc URL --chain-id ID --owner ADDRESS --sequencer ADDRESS [options]

Puts SetRegistry and SetPaymaster behind UUPS proxies on a network. Without --send it only prints what
it would do: every address, cost and role. Run it again after an interruption: addresses are
deterministic, and what is there already is left alone.

Required
  --rpc URL             the network's public RPC
  --chain-id ID         the chain that you mean; another one is refused
  --owner ADDRESS       owns both contracts; a multisig in production, never the deployer
  --sequencer ADDRESS   may commit; the account that the sidecar sends from. Repeat for more than one

Options
  --treasury ADDRESS    receives the paymaster's withdrawals (default: the owner)
  --guardian ADDRESS    may pause the registry, not unpause it
  --operator ADDRESS    may execute sponsorships. Repeat for more than one
  --import REGISTRY     take over the stream heads of another SetRegistry
  --import-from BLOCK   first block that can hold its commitments (default 0)
  --streams FILE        JSON list of {"tenantId", "storeId"} for streams whose ids its history does not show
  --out FILE            where the addresses go (default: deployments/<chain id>.json); point
                        chain.addresses of chain-config.toml to it
  --salt TEXT           another deployment on the same chain gets another salt (default: set-chain)
  --key-env NAME        environment variable with the deployer's private key (default: SET_DEPLOYER_KEY)
  --owner-key-env NAME  environment variable with the owner's key: send the owner's calls as well, where
                        the owner is a plain account. Otherwise they are written out as calldata
  --send                really do it
`;

/** Reads the arguments; throws a Refusal that lists every problem at once. */
export function readOptions(argv, environment) {
    let values;
    try {
        ({values} = parseArgs({
            args: argv,
            options: {
                rpc: {type: "string"},
                "chain-id": {type: "string"},
                owner: {type: "string"},
                sequencer: {type: "string", multiple: true, default: []},
                treasury: {type: "string"},
                guardian: {type: "string"},
                operator: {type: "string", multiple: true, default: []},
                import: {type: "string"},
                "import-from": {type: "string", default: "0"},
                streams: {type: "string"},
                out: {type: "string"},
                salt: {type: "string", default: "set-chain"},
                "key-env": {type: "string", default: "SET_DEPLOYER_KEY"},
                "owner-key-env": {type: "string"},
                send: {type: "boolean", default: false},
                help: {type: "boolean", short: "h", default: false},
            },
        }));
    } catch (error) {
        throw new Refusal(`${error.message}\n\n${USAGE}`);
    }
    if (values.help) return {help: true};

    const problems = [];
    const address = (name, text) => {
        if (text === undefined) return undefined;
        if (isAddress(text, {strict: false}) && BigInt(text) !== 0n) return getAddress(text);
        problems.push(`--${name}: ${text} is no address`);
        return undefined;
    };
    const integer = (name, text) => {
        if (/^\d+$/.test(text ?? "")) return BigInt(text);
        problems.push(`--${name}: give a whole number`);
        return 0n;
    };
    const account = (name, variable) => {
        const key = environment[variable];
        if (key === undefined) {
            problems.push(`--${name}: the environment variable ${variable} is not set`);
            return undefined;
        }
        try {
            return privateKeyToAccount(key.startsWith("0x") ? key : `0x${key}`);
        } catch {
            problems.push(`--${name}: ${variable} holds no private key (32 bytes of hex)`);
            return undefined;
        }
    };

    if (!values.rpc) problems.push("--rpc: give the network's URL");
    const chainId = Number(integer("chain-id", values["chain-id"]));
    const options = {
        rpc: values.rpc,
        chainId,
        owner: address("owner", values.owner),
        sequencers: values.sequencer.map((text) => address("sequencer", text)),
        treasury: address("treasury", values.treasury ?? values.owner),
        guardian: address("guardian", values.guardian),
        operators: values.operator.map((text) => address("operator", text)),
        importFrom: address("import", values.import),
        importFromBlock: integer("import-from", values["import-from"]),
        streams: values.streams ? readStreams(values.streams, problems) : [],
        out: values.out ?? `deployments/${chainId}.json`,
        salt: values.salt,
        deployer: account("key-env", values["key-env"]),
        ownerAccount: values["owner-key-env"] ? account("owner-key-env", values["owner-key-env"]) : undefined,
        send: values.send,
    };
    if (!values.owner) problems.push("--owner: give the address that will own both contracts");
    if (values.sequencer.length === 0) problems.push("--sequencer: give the address that may commit");
    if (options.owner && options.owner === options.deployer?.address) {
        problems.push("--owner: is the deployer; the key that deploys must not be the one that can upgrade");
    }
    if (options.ownerAccount && options.ownerAccount.address !== options.owner) {
        problems.push(`--owner-key-env: is the key of ${options.ownerAccount.address}, not of the owner`);
    }
    if (problems.length > 0) throw new Refusal(problems.join("\n"));
    return options;
}

function readStreams(file, problems) {
    try {
        return JSON.parse(readFileSync(file, "utf8")).map(({tenantId, storeId}) => ({
            tenantId: bytes32(tenantId),
            storeId: bytes32(storeId),
        }));
    } catch (error) {
        problems.push(`--streams: ${file}: ${error.message}`);
        return [];
    }
}

/** A UUID is the first 16 bytes of its bytes32. */
function bytes32(text) {
    if (/^0x[0-9a-f]{64}$/i.test(text)) return text.toLowerCase();
    const digits = String(text).replaceAll("-", "").toLowerCase();
    if (/^[0-9a-f]{32}$/.test(digits)) return `0x${digits}${"0".repeat(32)}`;
    throw new Error(`${text} is neither a UUID nor 32 bytes of hex`);
}
