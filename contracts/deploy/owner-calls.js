// What only the owner may do after a deployment: as calldata for a multisig, or sent with the owner's key.
import {encodeFunctionData} from "viem";

import * as artifacts from "./artifacts.js";
import {streamKey} from "./takeover.js";

/** The calls that are still needed: what the chain says already is left out, so a second run shrinks the list. */
export async function ownerCalls(client, options, addresses, heads, deployed) {
    const {registry, paymaster} = artifacts;
    const calls = [];
    const add = (what, to, abi, functionName, args) =>
        calls.push({what, to, data: encodeFunctionData({abi, functionName, args})});
    const read = (address, abi, functionName, args = []) =>
        deployed ? client.readContract({address, abi, functionName, args}) : undefined;

    const further = options.sequencers.slice(1);
    const authorized = await read(addresses.registry, registry.abi, "areSequencersAuthorized", [further]);
    const missing = further.filter((_, index) => !authorized?.[index]);
    if (missing.length > 0) {
        const args = [missing, true];
        add(`let ${missing.join(", ")} commit`, addresses.registry, registry.abi, "batchSetSequencerAuthorization", args);
    }
    const guardian = await read(addresses.registry, registry.abi, "guardian");
    if (options.guardian && guardian !== options.guardian) {
        add(`let ${options.guardian} pause`, addresses.registry, registry.abi, "setGuardian", [options.guardian]);
    }
    for (const operator of options.operators) {
        if (await read(addresses.paymaster, paymaster.abi, "operators", [operator])) continue;
        add(`let ${operator} sponsor`, addresses.paymaster, paymaster.abi, "setOperator", [operator, true]);
    }
    for (const head of heads) {
        const {tenantId, storeId, batchId, sequence, stateRoot} = head;
        const ours = await read(addresses.registry, registry.abi, "getHeadSequence", [tenantId, storeId]);
        // A stream that has gone on here must not be set back.
        if (ours !== undefined && ours >= sequence) continue;
        const args = [tenantId, storeId, batchId, sequence, stateRoot];
        add(`take over stream ${streamKey(head)} at ${sequence}`, addresses.registry, registry.abi, "setStreamHead", args);
    }
    return calls;
}

/** The Safe Transaction Builder's import format, which other multisigs read too. */
export function safeBatch(chainId, calls) {
    return {
        version: "1.0",
        chainId: String(chainId),
        meta: {name: "Set Chain contracts", description: calls.map(({what}) => what).join("; ")},
        transactions: calls.map(({to, data}) => ({to, value: "0", data})),
    };
}
