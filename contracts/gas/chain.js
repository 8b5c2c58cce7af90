// A local chain of Prague's rules to measure and test on: anvil on a free port, one funded account, the contracts behind proxies.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { createPublicClient, createWalletClient, encodeDeployData, encodeFunctionData, http } from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { artifact, root } from "../tools/artifacts.js";

const CHAIN_ID = 84532001;
/** Anvil's first account; it owns, sequences and pays. */
export const account = mnemonicToAccount("test test test test test test test test test test test junk");

/** Starts anvil, calls `use(chain)`, and stops anvil whatever happens. */
export async function withChain(use) {
  const anvil = spawn(
    join(root, "node_modules", ".bin", "anvil"),
    ["--port", "0", "--hardfork", "prague", "--chain-id", `${CHAIN_ID}`, "--gas-limit", "30000000", "--timestamp", "1800000000"],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  try {
    return await use(new Chain(await listening(anvil)));
  } finally {
    anvil.kill();
  }
}

/** Resolves with anvil's address once it listens. */
function listening(anvil) {
  return new Promise((resolve, reject) => {
    anvil.on("error", reject);
    anvil.on("exit", (code) => reject(new Error(`anvil ended with ${code} before it listened`)));
    createInterface({ input: anvil.stdout }).on("line", (line) => {
      const match = /^Listening on (.+)$/.exec(line);
      if (match) resolve(`http://${match[1]}`);
    });
  });
}

class Chain {
  #nonce = 0;

  constructor(url) {
    this.client = createPublicClient({ transport: http(url), pollingInterval: 20 });
    this.wallet = createWalletClient({ account, transport: http(url) });
  }

  /** Signs and sends a transaction of `account` with fixed fees, and waits for it. Throws where it reverts. */
  async send({ to, data, value = 0n, gas = 16_777_216n }) {
    const raw = await account.signTransaction({
      type: "eip1559",
      chainId: CHAIN_ID,
      nonce: this.#nonce++,
      to,
      data,
      value,
      gas,
      maxFeePerGas: 10_000_000_000n,
      maxPriorityFeePerGas: 1_000_000n,
    });
    const hash = await this.client.sendRawTransaction({ serializedTransaction: raw });
    const receipt = await this.client.waitForTransactionReceipt({ hash });
    if (receipt.status !== "success") throw new Error(`transaction ${hash} reverted`);
    return { raw, receipt, gasUsed: receipt.gasUsed };
  }

  /** Deploys `name` with its constructor's arguments. */
  async deploy(name, args = []) {
    const { abi, bytecode } = artifact(name);
    const { receipt } = await this.send({ data: encodeDeployData({ abi, bytecode: bytecode.object, args }) });
    return receipt.contractAddress;
  }

  /** Deploys `name` behind an ERC-1967 proxy that calls `initialize(...args)`. */
  async deployProxied(name, args) {
    const { abi } = artifact(name);
    const implementation = await this.deploy(name);
    const initialization = encodeFunctionData({ abi, functionName: "initialize", args });
    const address = await this.deploy("ERC1967Proxy", [implementation, initialization]);
    return new Contract(this, address, abi);
  }
}

/** A contract at an address. */
export class Contract {
  constructor(chain, address, abi) {
    Object.assign(this, { chain, address, abi });
  }

  /** Sends a call of `functionName` and waits for it. */
  send(functionName, args = [], options = {}) {
    return this.chain.send({
      to: this.address,
      data: encodeFunctionData({ abi: this.abi, functionName, args }),
      ...options,
    });
  }

  /** Calls `functionName` without a transaction. */
  read(functionName, args = []) {
    return this.chain.client.readContract({ address: this.address, abi: this.abi, functionName, args });
  }
}

