// scripts/deploy against a real chain: what it says, what it sends, how it goes on, what it takes over.
import assert from "node:assert/strict";
import {spawn} from "node:child_process";
import {mkdtempSync, readFileSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {after, before, test} from "node:test";
import {createPublicClient, createWalletClient, http, pad, toHex} from "viem";
import {privateKeyToAccount} from "viem/accounts";

import {registry} from "./artifacts.js";

const CHAIN_ID = 84532001;
// The keys that every anvil funds.
const DEPLOYER = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const OWNER = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const SEQUENCER = "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";
const [deployer, owner, sequencer] = [DEPLOYER, OWNER, SEQUENCER].map((key) => privateKeyToAccount(key));

let anvil, rpc, client, folder;

before(async () => {
    folder = mkdtempSync(join(tmpdir(), "set-deploy-"));
    const binary = new URL("../node_modules/.bin/anvil", import.meta.url).pathname;
    anvil = spawn(binary, ["--port", "0", "--chain-id", String(CHAIN_ID)]);
    rpc = await new Promise((resolve, reject) => {
        let said = "";
        anvil.stdout.on("data", (chunk) => {
            said += chunk;
            const listening = said.match(/Listening on (\S+)/);
            if (listening) resolve(`http://${listening[1]}`);
        });
        anvil.on("exit", () => reject(new Error(`anvil ended: ${said}`)));
    });
    client = createPublicClient({transport: http(rpc), pollingInterval: 50});
});

after(() => {
    anvil?.kill("SIGKILL");
    rmSync(folder, {recursive: true, force: true});
});

/** Runs the tool; with `until`, kills it as soon as it has said that. */
function deploy(extra, {env = {}, until} = {}) {
    const roles = ["--owner", owner.address, "--sequencer", sequencer.address];
    const base = ["--rpc", rpc, "--chain-id", String(CHAIN_ID), ...roles];
    const main = new URL("main.js", import.meta.url).pathname;
    const child = spawn(process.execPath, [main, ...base, ...extra], {env: {SET_DEPLOYER_KEY: DEPLOYER, ...env}});
    return new Promise((resolve) => {
        let said = "";
        const hear = (chunk) => {
            said += chunk;
            if (until?.test(said)) child.kill("SIGKILL");
        };
        child.stdout.on("data", hear);
        child.stderr.on("data", hear);
        child.on("close", (code) => resolve({code, said}));
    });
}

const out = (name) => join(folder, `${name}.json`);
const readJson = (file) => JSON.parse(readFileSync(file, "utf8"));
const read = (address, functionName, args = []) =>
    client.readContract({address, abi: registry.abi, functionName, args});
const sent = () => client.getTransactionCount({address: deployer.address});

test("a dry run says everything and sends nothing", async () => {
    const before = await sent();
    const {code, said} = await deploy(["--out", out("dry"), "--guardian", sequencer.address]);
    assert.equal(code, 0, said);
    for (const expected of ["SetRegistry implementation", "SetPaymaster", owner.address, "guardian", "Cost at most"]) {
        assert.ok(said.includes(expected), `${expected} is missing in:\n${said}`);
    }
    assert.match(said, /Dry run: nothing was sent/);
    assert.equal(await sent(), before);
});

test("what makes no sense is refused before anything is sent", async () => {
    const before = await sent();
    const refusals = [
        [["--chain-id", "1"], /is chain 84532001, but --chain-id says 1/],
        [["--owner", deployer.address], /--owner: is the deployer/],
        [["--sequencer", "0x12"], /--sequencer: 0x12 is no address/],
        [["--owner-key-env", "NOT_THERE"], /NOT_THERE is not set/],
    ];
    for (const [extra, reason] of refusals) {
        const {code, said} = await deploy(["--send", "--out", out("refused"), ...extra]);
        assert.equal(code, 1, said);
        assert.match(said, reason);
        assert.ok(!said.includes(DEPLOYER), "the key must not be shown");
    }
    assert.equal(await sent(), before);
});

test("a broken run is picked up where it stopped", async () => {
    const before = await sent();
    const flags = ["--send", "--out", out("resumed"), "--salt", "resumed", "--guardian", sequencer.address];
    await deploy(flags, {until: /SetRegistry implementation … \d+ gas/});
    const {code, said} = await deploy(flags);
    assert.equal(code, 0, said);
    assert.match(said, /SetRegistry implementation +0x\w{40} +is there already/);
    assert.equal((await sent()) - before, 4, "each contract was sent once");

    const deployment = readJson(out("resumed"));
    assert.equal(await read(deployment.registry, "owner"), owner.address);
    assert.equal(await read(deployment.registry, "authorizedSequencers", [sequencer.address]), true);
    assert.ok(deployment.startBlock > 0);

    const calls = readJson(out("resumed.owner-calls"));
    assert.equal(calls.chainId, String(CHAIN_ID));
    assert.equal(calls.transactions.length, 1, "only the guardian is left to the owner");
    const wallet = createWalletClient({account: owner, transport: http(rpc)});
    const [{to, data}] = calls.transactions;
    const hash = await wallet.sendTransaction({to, data, chain: null});
    await client.waitForTransactionReceipt({hash});
    assert.equal(await read(deployment.registry, "guardian"), sequencer.address);

    const again = await deploy(flags);
    assert.match(again.said, /nothing left to do/);
    assert.equal((await sent()) - before, 4);
});

test("another registry's streams are taken over", async () => {
    const first = await deploy(["--send", "--out", out("old"), "--salt", "old"]);
    assert.equal(first.code, 0, first.said);
    const old = readJson(out("old")).registry;
    const id = (number) => pad(toHex(number), {dir: "right", size: 32});
    const wallet = createWalletClient({account: sequencer, transport: http(rpc), chain: null});
    const commit = async (batch, store, prev, next, start, end) => {
        const args = [id(batch), id(1), id(store), id(9), prev, next, start, end, Number(end - start + 1n)];
        const hash = await wallet.writeContract({address: old, abi: registry.abi, functionName: "commitBatch", args});
        await client.waitForTransactionReceipt({hash});
    };
    const zero = `0x${"0".repeat(64)}`;
    await commit(16, 2, zero, id(20), 1n, 3n);
    await commit(17, 2, id(20), id(21), 4n, 4n);
    await commit(18, 3, zero, id(22), 1n, 8n);

    const flags = ["--send", "--out", out("new"), "--salt", "new", "--import", old, "--owner-key-env", "OWNER_KEY"];
    const {code, said} = await deploy(flags, {env: {OWNER_KEY: OWNER}});
    assert.equal(code, 0, said);
    assert.match(said, /2 stream heads/);
    assert.match(said, /is not paused/);
    const {registry: ours} = readJson(out("new"));
    for (const store of [2, 3]) {
        for (const getter of ["getHeadSequence", "getLatestStateRoot", "getLatestBatchId"]) {
            const args = [id(1), id(store)];
            assert.equal(await read(ours, getter, args), await read(old, getter, args), getter);
        }
    }
    const again = await deploy(flags, {env: {OWNER_KEY: OWNER}});
    assert.match(again.said, /nothing left to do/);
});
