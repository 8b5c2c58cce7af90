// What is to be deployed, and where it will be: known before anything is sent.
import {concatHex, encodeAbiParameters, encodeFunctionData, getContractAddress, keccak256, stringToHex} from "viem";

import * as artifacts from "./artifacts.js";
import {Refusal} from "./refusal.js";

// The deterministic deployment proxy: at this address on OP Stack chains from genesis, on most others too, and on anvil.
export const DEPLOYER_CONTRACT = "0x4e59b44847b379578588920cA78FbF26c0B4956C";

// What creating a proxy takes at most. It cannot be estimated before its implementation is there.
const PROXY_GAS = 500_000n;

/**
 * The four contracts in the order in which they must come. An address depends on the salt, the code and
 * the roles, so a second run finds what the first one left, and other roles never meet the same address.
 */
export function contractsOf(options) {
    const salt = keccak256(stringToHex(options.salt));
    const at = (name, initCode) => ({
        name,
        initCode,
        salt,
        address: getContractAddress({opcode: "CREATE2", from: DEPLOYER_CONTRACT, salt, bytecode: initCode}),
    });
    const behindProxy = (name, implementation, abi, args) => {
        const call = encodeFunctionData({abi, functionName: "initialize", args});
        const parameters = encodeAbiParameters([{type: "address"}, {type: "bytes"}], [implementation.address, call]);
        return {...at(name, concatHex([artifacts.proxy.bytecode, parameters])), isProxy: true};
    };
    const registryImplementation = at("SetRegistry implementation", artifacts.registry.bytecode);
    const paymasterImplementation = at("SetPaymaster implementation", artifacts.paymaster.bytecode);
    const registryRoles = [options.owner, options.sequencers[0]];
    const paymasterRoles = [options.owner, options.treasury];
    return {
        registryImplementation,
        registry: behindProxy("SetRegistry", registryImplementation, artifacts.registry.abi, registryRoles),
        paymasterImplementation,
        paymaster: behindProxy("SetPaymaster", paymasterImplementation, artifacts.paymaster.abi, paymasterRoles),
    };
}

/** Marks what is there already, and says what the rest costs at most. */
export async function survey(client, options, contracts) {
    if (!(await client.getCode({address: DEPLOYER_CONTRACT}))) {
        throw new Refusal(
            `the deterministic deployment proxy ${DEPLOYER_CONTRACT} is not on this chain.\n` +
                "Deploy it first: its transaction is signed already and works on every EVM chain " +
                "(see ERC-2470 and the deterministic-deployment-proxy project).",
        );
    }
    const {maxFeePerGas} = await client.estimateFeesPerGas();
    const steps = [];
    for (const contract of Object.values(contracts)) {
        const exists = Boolean(await client.getCode({address: contract.address}));
        const gas = exists ? 0n : await gasFor(client, options, contract);
        steps.push({...contract, exists, gas, cost: gas * maxFeePerGas + (exists ? 0n : await l1Fee(client, contract))});
    }
    return steps;
}

async function gasFor(client, options, contract) {
    if (contract.isProxy) return PROXY_GAS;
    const {address: account} = options.deployer;
    return client.estimateGas({account, to: DEPLOYER_CONTRACT, data: deploymentData(contract)});
}

export function deploymentData({salt, initCode}) {
    return concatHex([salt, initCode]);
}

const GAS_PRICE_ORACLE = "0x420000000000000000000000000000000000000F";
const ORACLE_ABI = [
    {
        type: "function",
        name: "getL1FeeUpperBound",
        stateMutability: "view",
        inputs: [{name: "unsignedTxSize", type: "uint256"}],
        outputs: [{type: "uint256"}],
    },
];

/** The L1 data fee on an OP Stack chain (GasPriceOracle, Fjord and later); zero elsewhere. */
async function l1Fee(client, contract) {
    if (!(await client.getCode({address: GAS_PRICE_ORACLE}))) return 0n;
    const size = BigInt(deploymentData(contract).length / 2 + 100);
    return client.readContract({
        address: GAS_PRICE_ORACLE,
        abi: ORACLE_ABI,
        functionName: "getL1FeeUpperBound",
        args: [size],
    });
}
