import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeFunctionData, hexToBytes, keccak256, numberToHex, toHex, toRlp, zeroHash } from "viem";
import { account, withChain } from "../gas/chain.js";
import { Random } from "../gas/random.js";
import { artifact } from "../tools/artifacts.js";
import { provenValue } from "./merkle-patricia.js";
import { ProvenState } from "./record-proof.js";

/** Commits records in every form; answers what was sent, by batch id. */
async function commitEveryForm(chain, registry) {
  const random = new Random("proofs");
  const records = new Map();
  const tenantId = random.uuid();

  const record = (prevStateRoot, sequenceStart) => {
    const eventCount = random.integer(1, 1000);
    return {
      eventsRoot: random.bytes32(),
      newStateRoot: random.bytes32(),
      sequenceStart,
      sequenceEnd: sequenceStart + BigInt(eventCount) - 1n,
      eventCount,
      prevStateRoot,
    };
  };
  const remember = async (batchId, sent, { receipt }) => {
    const { timestamp } = await chain.client.getBlock({ blockNumber: receipt.blockNumber });
    records.set(batchId, { ...sent, timestamp });
  };
  const single = async (batchId, storeId, sent) => {
    const range = [sent.sequenceStart, sent.sequenceEnd, sent.eventCount];
    const roots = [sent.eventsRoot, sent.prevStateRoot, sent.newStateRoot];
    await remember(batchId, sent, await registry.send("commitBatch", [batchId, tenantId, storeId, ...roots, ...range]));
    return sent;
  };
  const bulk = async (storeId, head, count) => {
    const sent = [];
    for (let last = head; sent.length < count; last = sent.at(-1)) {
      sent.push(record(last.newStateRoot, last.sequenceEnd + 1n));
    }
    const ids = sent.map(() => random.uuid());
    const batches = sent.map(({ eventsRoot, newStateRoot, eventCount }, i) => {
      return { batchId: ids[i], eventsRoot, newStateRoot, eventCount };
    });
    const run = { tenantId, storeId, prevStateRoot: head.newStateRoot, sequenceStart: head.sequenceEnd + 1n, batches };
    const outcome = await registry.send("commitBatches", [[run]]);
    for (const [i, one] of sent.entries()) await remember(ids[i], one, outcome);
    return sent.at(-1);
  };
  const next = (head) => record(head.newStateRoot, head.sequenceEnd + 1n);

  // In slots: from the genesis, after a UUID, after an id of another shape, in code, and after that again.
  const storeId = random.uuid();
  let head = await single(random.uuid(), storeId, record(zeroHash, 1n));
  head = await single(random.bytes32(), storeId, next(head));
  head = await single(random.uuid(), storeId, next(head));
  head = await bulk(storeId, head, 3);
  head = await single(random.uuid(), storeId, next(head));
  await single(random.uuid(), storeId, next(head));

  // A stream that starts in its middle, and one that the owner took over.
  await single(random.uuid(), random.uuid(), record(random.bytes32(), 500n));
  const imported = { newStateRoot: random.bytes32(), sequenceEnd: 41n };
  const importedStore = random.uuid();
  await registry.send("setStreamHead", [tenantId, importedStore, random.uuid(), 41n, imported.newStateRoot]);
  await bulk(importedStore, imported, 2);
  return records;
}

/** The newest block's state, of which the caller trusts the root. */
async function newestState(chain) {
  const { number, stateRoot } = await chain.client.getBlock();
  return new ProvenState(chain.client, number, stateRoot);
}

async function assertProven(state, registry, records) {
  for (const [batchId, sent] of records) assert.deepEqual(await state.record(registry.address, batchId), sent);
}

test("records are proven from a state root alone, before and after an upgrade", () =>
  withChain(async (chain) => {
    const registry = await chain.deployProxied("SetRegistry", [account.address, account.address]);
    const records = await commitEveryForm(chain, registry);
    assert.equal(records.size, 11);

    await assertProven(await newestState(chain), registry, records);

    const implementation = await chain.deploy("NextRegistry");
    const { abi } = artifact("NextRegistry");
    const initialization = encodeFunctionData({ abi, functionName: "setAddedLater", args: [7n] });
    await registry.send("upgradeToAndCall", [implementation, initialization]);
    const upgraded = await newestState(chain);
    await assertProven(upgraded, registry, records);
    assert.equal(await upgraded.record(registry.address, new Random("absent").uuid()), null);
  }));

test("a node that lies about a record is found out", () =>
  withChain(async (chain) => {
    const registry = await chain.deployProxied("SetRegistry", [account.address, account.address]);
    const records = await commitEveryForm(chain, registry);
    const honest = await newestState(chain);

    const lying = (distort) => {
      const client = {
        request: async (call) => distort(call, structuredClone(await chain.client.request(call))),
      };
      return new ProvenState(client, honest.blockNumber, honest.stateRoot);
    };
    const flipped = (hex) => {
      const bytes = hexToBytes(hex);
      bytes[bytes.length - 1] ^= 1;
      return toHex(bytes);
    };
    const lies = {
      code: (call, answer) => (call.method === "eth_getCode" ? flipped(answer) : answer),
      account: (call, answer) => {
        if (call.method === "eth_getProof") answer.accountProof.push(flipped(answer.accountProof.pop()));
        return answer;
      },
      storage: (call, answer) => {
        for (const slot of answer.storageProof ?? []) slot.proof.push(flipped(slot.proof.pop()));
        return answer;
      },
      omission: (call, answer) => {
        for (const slot of answer.storageProof ?? []) slot.proof.pop();
        return answer;
      },
    };
    const inCode = [...records.keys()].at(-1);
    for (const [name, distort] of Object.entries(lies)) {
      await assert.rejects(lying(distort).record(registry.address, inCode), undefined, name);
    }
    const otherRoot = new ProvenState(chain.client, honest.blockNumber, new Random("root").bytes32());
    await assert.rejects(otherRoot.record(registry.address, inCode));
  }));

test("a trie's proof answers only for its own root and key", () => {
  const leaf = toRlp([`0x20${keccak256("0x01").slice(2)}`, "0x2a"]);
  const root = keccak256(leaf);
  assert.equal(provenValue(root, "0x01", [leaf]), "0x2a");
  assert.equal(provenValue(root, "0x02", [leaf]), null);
  assert.equal(provenValue(keccak256("0x80"), "0x01", []), null);
  assert.throws(() => provenValue(root, "0x01", []), /ends before/);
  assert.throws(() => provenValue(root, "0x01", [leaf, leaf]), /goes on/);
  assert.throws(() => provenValue(numberToHex(1, { size: 32 }), "0x01", [leaf]), /another hash/);
});
