// Reading another registry's stream heads, so that its streams can go on in ours.
import {decodeFunctionData, encodePacked, keccak256} from "viem";

import {registry} from "./artifacts.js";
import {Refusal} from "./refusal.js";

const LOG_RANGE = 10_000n;
const HEADS_PER_CALL = 200;
const event = (name) => registry.abi.find((item) => item.type === "event" && item.name === name);

export const streamKey = ({tenantId, storeId}) =>
    keccak256(encodePacked(["bytes32", "bytes32"], [tenantId, storeId]));

/**
 * The head of every stream of `address`, all read at one block. The public registry's events name a
 * stream only by the hash of its ids, so the ids come from StreamOpened where there is one, else from
 * the committing transaction's calldata, else from the caller's list.
 */
export async function readHeads(client, {address, fromBlock, known}) {
    const block = await client.getBlockNumber();
    const streams = new Map(known.map((stream) => [streamKey(stream), stream]));
    const transactions = new Map();
    for (let from = fromBlock; from <= block; from += LOG_RANGE) {
        const to = from + LOG_RANGE - 1n < block ? from + LOG_RANGE - 1n : block;
        const events = [event("StreamOpened"), event("BatchCommitted")];
        for (const log of await client.getLogs({address, events, fromBlock: from, toBlock: to})) {
            const {tenantStoreKey: key, tenantId, storeId} = log.args;
            if (log.eventName === "StreamOpened") streams.set(key, {tenantId, storeId});
            else if (!transactions.has(key)) transactions.set(key, log.transactionHash);
        }
    }
    const unknown = [];
    for (const [key, hash] of transactions) {
        if (streams.has(key)) continue;
        const {input} = await client.getTransaction({hash});
        const found = streamsIn(input).find((stream) => streamKey(stream) === key);
        if (found) streams.set(key, found);
        else unknown.push(`  ${key} (first committed in ${hash})`);
    }
    if (unknown.length > 0) {
        throw new Refusal(
            `the tenant and store ids of ${unknown.length} streams cannot be read from the chain; ` +
                `name them in a file and pass it with --streams:\n${unknown.join("\n")}`,
        );
    }
    return {block, heads: await headsOf(client, address, [...streams.values()], block)};
}

/** The streams that a commit call's calldata names. */
function streamsIn(input) {
    try {
        const {functionName, args} = decodeFunctionData({abi: registry.abi, data: input});
        if (functionName === "commitBatches") return args[0].map(({tenantId, storeId}) => ({tenantId, storeId}));
        if (functionName.startsWith("commitBatch")) return [{tenantId: args[1], storeId: args[2]}];
    } catch {
        // Sent through another contract: its calldata is not ours to read.
    }
    return [];
}

async function headsOf(client, address, streams, blockNumber) {
    const heads = [];
    for (let at = 0; at < streams.length; at += HEADS_PER_CALL) {
        const part = streams.slice(at, at + HEADS_PER_CALL);
        const args = [part.map(({tenantId}) => tenantId), part.map(({storeId}) => storeId)];
        const read = (functionName, args) =>
            client.readContract({address, abi: registry.abi, functionName, args, blockNumber});
        // These three answer on every SetRegistry, the public one included.
        const [sequences, stateRoots, batchIds] = await Promise.all([
            read("getBatchHeadSequences", args),
            read("getBatchLatestStateRoots", args),
            Promise.all(part.map(({tenantId, storeId}) => read("getLatestBatchId", [tenantId, storeId]))),
        ]);
        part.forEach((stream, index) => {
            if (BigInt(batchIds[index]) === 0n) return;
            const [batchId, sequence, stateRoot] = [batchIds[index], sequences[index], stateRoots[index]];
            heads.push({...stream, batchId, sequence, stateRoot});
        });
    }
    return heads;
}
