// Deploys SetRegistry and SetPaymaster; see USAGE in options.js.
import {mkdirSync, writeFileSync} from "node:fs";
import {dirname} from "node:path";
import {createPublicClient, createWalletClient, defineChain, formatEther, http} from "viem";

import {readOptions, USAGE} from "./options.js";
import {contractsOf, DEPLOYER_CONTRACT, deploymentData, survey} from "./plan.js";
import {ownerCalls, safeBatch} from "./owner-calls.js";
import {readHeads} from "./takeover.js";
import {registry} from "./artifacts.js";
import {Refusal} from "./refusal.js";

async function main(argv, environment) {
    const options = readOptions(argv, environment);
    if (options.help) return console.log(USAGE);

    const client = createPublicClient({transport: http(options.rpc)});
    const chain = await theRightChain(client, options);
    const contracts = contractsOf(options);
    const addresses = Object.fromEntries(Object.entries(contracts).map(([name, {address}]) => [name, address]));
    const steps = await survey(client, options, contracts);
    const takeover = await takenOver(client, options);
    await show(client, options, steps, takeover);

    if (!options.send) {
        const calls = await ownerCalls(client, options, addresses, takeover.heads, steps.every(({exists}) => exists));
        calls.forEach(({what}) => console.log(`  owner: ${what}`));
        return console.log("\nDry run: nothing was sent. Add --send to do it.");
    }
    const wallet = createWalletClient({account: options.deployer, chain, transport: http(options.rpc)});
    for (const step of steps.filter(({exists}) => !exists)) await deploy(client, wallet, step);

    const startBlock = await firstBlock(client, addresses.registry);
    write(options.out, {chainId: options.chainId, ...addresses, owner: options.owner, startBlock: Number(startBlock)});
    console.log(`\nAddresses are in ${options.out}; point chain.addresses of chain-config.toml to it.`);

    await settleOwnerCalls(client, chain, options, addresses, takeover.heads);
}

async function theRightChain(client, options) {
    let id;
    try {
        id = await client.getChainId();
    } catch (error) {
        throw new Refusal(`${options.rpc} does not answer: ${error.shortMessage ?? error.message}`);
    }
    if (id !== options.chainId) {
        throw new Refusal(`${options.rpc} is chain ${id}, but --chain-id says ${options.chainId}; nothing was sent`);
    }
    const nativeCurrency = {name: "Ether", symbol: "ETH", decimals: 18};
    return defineChain({id, name: `chain ${id}`, nativeCurrency, rpcUrls: {default: {http: [options.rpc]}}});
}

async function takenOver(client, options) {
    const {importFrom: address, importFromBlock: fromBlock, streams: known} = options;
    if (!address) return {heads: []};
    const {heads, block} = await readHeads(client, {address, fromBlock, known});
    const [, , isPaused] = await client.readContract({address, abi: registry.abi, functionName: "getRegistryStats"});
    return {heads, block, isPaused};
}

async function show(client, options, steps, takeover) {
    const total = steps.reduce((sum, {cost}) => sum + cost, 0n);
    const balance = await client.getBalance({address: options.deployer.address});
    console.log(`Chain ${options.chainId} at ${options.rpc}\n\nContracts`);
    for (const {name, address, exists, gas, cost} of steps) {
        const price = exists ? "is there already" : `at most ${gas} gas, ${formatEther(cost)} ETH`;
        console.log(`  ${name.padEnd(28)} ${address}  ${price}`);
    }
    console.log("\nRoles");
    const roles = [
        ["deployer (no rights after)", options.deployer.address],
        ["owner of both", options.owner],
        ["treasury", options.treasury],
        ...options.sequencers.map((address) => ["sequencer", address]),
        ...(options.guardian ? [["guardian", options.guardian]] : []),
        ...options.operators.map((address) => ["sponsorship operator", address]),
    ];
    roles.forEach(([role, address]) => console.log(`  ${role.padEnd(28)} ${address}`));
    if (options.importFrom) {
        console.log(`\n${takeover.heads.length} stream heads of ${options.importFrom}, as of block ${takeover.block}`);
        if (!takeover.isPaused) {
            console.log("  That registry is not paused: its heads may still move. Pause it, then run this again.");
        }
    }
    console.log(`\nCost at most ${formatEther(total)} ETH; the deployer has ${formatEther(balance)} ETH`);
    if (options.send && balance < total) {
        throw new Refusal(`the deployer ${options.deployer.address} needs ${formatEther(total - balance)} ETH more`);
    }
}

async function deploy(client, wallet, step) {
    process.stdout.write(`  deploying ${step.name} … `);
    const hash = await wallet.sendTransaction({to: DEPLOYER_CONTRACT, data: deploymentData(step)});
    const receipt = await client.waitForTransactionReceipt({hash});
    if (receipt.status !== "success" || !(await client.getCode({address: step.address}))) {
        throw new Refusal(`${step.name} was not created: see transaction ${hash}. Run this again to go on from here`);
    }
    console.log(`${receipt.gasUsed} gas, block ${receipt.blockNumber}`);
}

/** The block of the registry's creation, from its proxy's own first event; a run that went on may not have sent it. */
async function firstBlock(client, address) {
    const upgraded = registry.abi.find((item) => item.type === "event" && item.name === "Upgraded");
    const logs = await client.getLogs({address, event: upgraded, fromBlock: 0n, toBlock: "latest"});
    return logs[0]?.blockNumber ?? 0n;
}

async function settleOwnerCalls(client, chain, options, addresses, heads) {
    const calls = await ownerCalls(client, options, addresses, heads, true);
    if (calls.length === 0) return console.log("The owner has nothing left to do.");
    if (!options.ownerAccount) {
        const file = options.out.replace(/(\.json)?$/, ".owner-calls.json");
        write(file, safeBatch(options.chainId, calls));
        console.log(`\nThe owner ${options.owner} must now call (also in ${file}, for a Safe's Transaction Builder):`);
        for (const {what, to, data} of calls) console.log(`\n  ${what}\n    to   ${to}\n    data ${data}`);
        return;
    }
    const wallet = createWalletClient({account: options.ownerAccount, chain, transport: http(options.rpc)});
    for (const {what, to, data} of calls) {
        const hash = await wallet.sendTransaction({to, data});
        const {status} = await client.waitForTransactionReceipt({hash});
        if (status !== "success") throw new Refusal(`the owner's call failed (${what}): see transaction ${hash}`);
        console.log(`  owner: ${what}`);
    }
}

function write(file, value) {
    mkdirSync(dirname(file), {recursive: true});
    writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
}

main(process.argv.slice(2), process.env).catch((error) => {
    const message = error instanceof Refusal ? error.message : (error.shortMessage ?? error.stack);
    console.error(`\nscripts/deploy: ${message}`);
    process.exitCode = 1;
});
