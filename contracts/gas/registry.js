// What commitments cost: receipts through the proxy with random roots, UUIDs as ids.
import { hexToBytes, zeroHash } from "viem";
import { account } from "./chain.js";
import { estimatedBytes } from "./fastlz.js";
import { Random } from "./random.js";

const STREAMS = 10;
const BATCHES_PER_STREAM = 5;

/** A stream's end as the sequencer knows it, and the batches that follow. */
class Stream {
  constructor(random) {
    Object.assign(this, { random, tenantId: random.uuid(), storeId: random.uuid(), stateRoot: zeroHash, next: 1 });
  }

  /** The next batch, of 10 to 500 events. */
  #batch() {
    const batch = {
      batchId: this.random.uuid(),
      eventsRoot: this.random.bytes32(),
      newStateRoot: this.random.bytes32(),
      eventCount: this.random.integer(10, 500),
    };
    this.stateRoot = batch.newStateRoot;
    this.next += batch.eventCount;
    return batch;
  }

  /** The next batch as the arguments of commitBatch. */
  arguments() {
    const { stateRoot, next } = this;
    const batch = this.#batch();
    const last = next + batch.eventCount - 1;
    return [
      batch.batchId,
      this.tenantId,
      this.storeId,
      batch.eventsRoot,
      stateRoot,
      batch.newStateRoot,
      BigInt(next),
      BigInt(last),
      batch.eventCount,
    ];
  }

  /** The next `count` batches as a run of commitBatches. */
  run(count) {
    const { tenantId, storeId, stateRoot, next } = this;
    return {
      tenantId,
      storeId,
      prevStateRoot: stateRoot,
      sequenceStart: BigInt(next),
      batches: Array.from({ length: count }, () => this.#batch()),
    };
  }
}

/** Measures SetRegistry; each result has a name, the measured number, its limit and the public contract's number. */
export async function measureRegistry(chain) {
  const random = new Random("set-registry");
  const registry = await chain.deployProxied("SetRegistry", [account.address, account.address]);

  await registry.send("commitBatch", new Stream(random).arguments());
  const single = new Stream(random);
  const first = await registry.send("commitBatch", single.arguments());
  const later = await registry.send("commitBatch", single.arguments());

  const streams = Array.from({ length: STREAMS }, () => new Stream(random));
  const runs = () => streams.map((stream) => stream.run(BATCHES_PER_STREAM));
  await registry.send("commitBatches", [runs()]);
  const bulk = await registry.send("commitBatches", [runs()]);
  const count = STREAMS * BATCHES_PER_STREAM;
  const raw = hexToBytes(bulk.raw);

  const expected = 3 + 2 * count;
  const total = await registry.read("totalCommitments");
  if (total !== BigInt(expected)) throw new Error(`${total} commitments on chain, ${expected} sent`);

  const each = (value) => Math.round((100 * value) / count) / 100;
  return [
    { name: "commitBatch, later", unit: "gas", measured: Number(later.gasUsed), limit: 119_000, reference: 119_040 },
    { name: "commitBatch, first of a stream", unit: "gas", measured: Number(first.gasUsed), limit: 131_500, reference: 131_500 },
    {
      name: "commitBatches of 50 over ten streams, later, per commitment",
      unit: "gas",
      measured: each(Number(bulk.gasUsed)),
      limit: 50_000,
      reference: null,
    },
    { name: "the same call, signed bytes per commitment", unit: "bytes", measured: each(raw.length), limit: 200, reference: 408 },
    {
      name: "the same call, estimated compressed bytes per commitment",
      unit: "bytes",
      measured: each(estimatedBytes(raw)),
      limit: 100,
      reference: 219,
    },
  ];
}
