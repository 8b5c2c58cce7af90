// What sponsorships cost: receipts through the proxy, to merchants that exist on chain, at the worst state of their records.
import { numberToHex, parseEther } from "viem";
import { account } from "./chain.js";
import { Random } from "./random.js";

const HOUR = 3_600;
const DAY = 24 * HOUR;
/** Start of a day (unix seconds), after anvil's first block. */
const START = Math.ceil(1_800_000_000 / DAY + 1) * DAY;
const OPERATION = 5;
const TIER = 2n;
const BATCH = 50;

/** The paymaster, and a clock that stands still between calls, so that it is known which payment opens an hour. */
class Vault {
  constructor(chain, paymaster, random) {
    Object.assign(this, { chain, paymaster, random, payments: 0 });
  }

  /** A merchant of the highest tier whose account exists. */
  async merchant() {
    const merchant = this.random.address();
    await this.chain.client.request({ method: "anvil_setBalance", params: [merchant, numberToHex(1)] });
    await this.paymaster.send("sponsorMerchant", [merchant, TIER]);
    return merchant;
  }

  /** Some wei: little enough for the limits, as many digits as real gas costs have. */
  amount() {
    return BigInt(this.random.integer(1e14, 2e14));
  }

  /** Calls `functionName` in a block of `time`. */
  async at(time, functionName, args) {
    await this.chain.client.request({ method: "evm_setNextBlockTimestamp", params: [numberToHex(time)] });
    return (await this.paymaster.send(functionName, args)).gasUsed;
  }

  /** Pays each of `merchants` in one call in a block of `time`. */
  async payAll(merchants, time) {
    this.payments += merchants.length;
    const amounts = merchants.map(() => this.amount());
    const operations = merchants.map(() => OPERATION);
    return Number(await this.at(time, "batchExecuteSponsorship", [merchants, amounts, operations]));
  }

  /** Pays `merchant` in a block of `time`, at most once for an id where one is given. */
  async pay(merchant, time, ...once) {
    this.payments += 1;
    return Number(await this.at(time, "executeSponsorship", [merchant, this.amount(), OPERATION, ...once]));
  }
}

/** Measures SetPaymaster; each result has a name, the measured number, its limit and the public contract's number. */
export async function measurePaymaster(chain) {
  const random = new Random("set-paymaster");
  const paymaster = await chain.deployProxied("SetPaymaster", [account.address, account.address]);
  await paymaster.send("setOperator", [account.address, true]);
  await paymaster.send("deposit", [], { value: parseEther("10") });
  const vault = new Vault(chain, paymaster, random);

  // The last hour's entry falls into a slot never used, and the hour that leaves the window is read from another.
  const hourly = await vault.merchant();
  for (const hour of [0, 10, 24]) await vault.pay(hourly, START + hour * HOUR);
  let now = START + 25 * HOUR;
  const firstOfHour = await vault.pay(hourly, now);
  const sameHour = await vault.pay(hourly, ++now);

  // Nonces 64 and 65 of some word of the merchant's own.
  const nonce = BigInt(random.bytes32()) & 0xffffffffffffffffffffff00n;
  const id = (offset) => numberToHex((BigInt(hourly) << 96n) | (nonce + offset), { size: 32 });
  const deadline = BigInt(now + 600);
  const firstOfWord = await vault.pay(hourly, ++now, id(64n), deadline);
  const sameWord = await vault.pay(hourly, ++now, id(65n), deadline);

  // The same for the last hour and the last day at once.
  const daily = await vault.merchant();
  const days = START + 3 * DAY;
  for (const hour of [0, 240, 480, 719, 730, 743]) await vault.pay(daily, days + hour * HOUR);
  const firstOfDay = await vault.pay(daily, days + 744 * HOUR);

  const merchants = [];
  while (merchants.length < BATCH) merchants.push(await vault.merchant());
  const batches = START + 40 * DAY;
  await vault.payAll(merchants, batches);
  const bulk = await vault.payAll(merchants, batches + 1);

  const { payments } = vault;
  const logs = await chain.client.getContractEvents({
    address: paymaster.address,
    abi: paymaster.abi,
    eventName: "GasSponsored",
    fromBlock: 0n,
  });
  if (logs.length !== payments) throw new Error(`${logs.length} payments on chain, ${payments} sent`);

  const row = (name, measured, limit, reference) => ({ name, unit: "gas", measured, limit, reference });
  return [
    row("executeSponsorship, in the hour of the merchant's last", sameHour, 62_000, 60_926),
    row("executeSponsorship, first of an hour", firstOfHour, 90_000, 60_926),
    row("executeSponsorship, first of a day", firstOfDay, 120_000, 60_926),
    row("executeSponsorship with an id, in a word already used", sameWord, 70_000, null),
    row("executeSponsorship with an id, a word's first", firstOfWord, 88_000, null),
    row(`batchExecuteSponsorship of ${BATCH}, same hour, per merchant`, Math.round((100 * bulk) / BATCH) / 100, 28_000, 28_359),
  ];
}
