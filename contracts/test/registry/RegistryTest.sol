// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";

import {SetRegistry} from "../../src/SetRegistry.sol";
import {IRegistryEvents} from "../../src/registry/IRegistryEvents.sol";
import {ISetRegistry} from "../../src/registry/ISetRegistry.sol";
import {Batch, BatchCommitment, Run} from "../../src/registry/RegistryTypes.sol";
import {Test} from "../Test.sol";

/// @title RegistryTest
/// @notice A registry behind its proxy, and one stream's batches to commit.
abstract contract RegistryTest is Test, IRegistryEvents {
    /// @dev The nine arguments of commitBatch.
    struct Commit {
        bytes32 batchId;
        bytes32 tenantId;
        bytes32 storeId;
        bytes32 eventsRoot;
        bytes32 prevStateRoot;
        bytes32 newStateRoot;
        uint64 sequenceStart;
        uint64 sequenceEnd;
        uint32 eventCount;
    }

    bytes32 internal constant TENANT = bytes32(bytes16(0xf03eb0f690ee46e2a7565ca9b225848a));
    bytes32 internal constant STORE = bytes32(bytes16(0xfd5aa127bf8d4b169d8e5be979cdfdc7));

    address internal immutable owner = makeAddress("owner");
    address internal immutable sequencer = makeAddress("sequencer");
    address internal immutable stranger = makeAddress("stranger");

    SetRegistry internal registry;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        registry = newRegistry();
    }

    function newRegistry() internal returns (SetRegistry) {
        bytes memory initialization = abi.encodeCall(ISetRegistry.initialize, (owner, sequencer));
        return SetRegistry(address(new ERC1967Proxy(address(new SetRegistry()), initialization)));
    }

    /// @dev A UUID-shaped id.
    function uuid(bytes memory name) internal pure returns (bytes32) {
        return bytes32(bytes16(keccak256(name)));
    }

    /// @dev Batch `number` (from 1) of the stream: ten events each, from sequence 1.
    function batchOf(bytes32 tenantId, bytes32 storeId, uint256 number) internal pure returns (Commit memory) {
        return Commit({
            batchId: uuid(abi.encode(tenantId, storeId, number)),
            tenantId: tenantId,
            storeId: storeId,
            eventsRoot: keccak256(abi.encode("events", tenantId, storeId, number)),
            prevStateRoot: stateRoot(tenantId, storeId, number - 1),
            newStateRoot: stateRoot(tenantId, storeId, number),
            sequenceStart: uint64(10 * (number - 1) + 1),
            sequenceEnd: uint64(10 * number),
            eventCount: 10
        });
    }

    function batch(uint256 number) internal pure returns (Commit memory) {
        return batchOf(TENANT, STORE, number);
    }

    function stateRoot(bytes32 tenantId, bytes32 storeId, uint256 number) internal pure returns (bytes32) {
        return number == 0 ? bytes32(0) : keccak256(abi.encode("state", tenantId, storeId, number));
    }

    function key(bytes32 tenantId, bytes32 storeId) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(tenantId, storeId));
    }

    function commit(SetRegistry target, Commit memory c) internal {
        vm.prank(sequencer);
        target.commitBatch(
            c.batchId,
            c.tenantId,
            c.storeId,
            c.eventsRoot,
            c.prevStateRoot,
            c.newStateRoot,
            c.sequenceStart,
            c.sequenceEnd,
            c.eventCount
        );
    }

    function commit(Commit memory c) internal {
        commit(registry, c);
    }

    /// @dev Commits, and expects the revert data.
    function commitReverts(Commit memory c, bytes memory revertData) internal {
        vm.expectRevert(revertData);
        commit(c);
    }

    /// @dev Consecutive batches, `first` to `last`, as a run.
    function run(bytes32 tenantId, bytes32 storeId, uint256 first, uint256 last) internal pure returns (Run memory r) {
        Commit memory start = batchOf(tenantId, storeId, first);
        r.tenantId = tenantId;
        r.storeId = storeId;
        r.prevStateRoot = start.prevStateRoot;
        r.sequenceStart = start.sequenceStart;
        r.batches = new Batch[](last - first + 1);
        for (uint256 number = first; number <= last; ++number) {
            Commit memory c = batchOf(tenantId, storeId, number);
            r.batches[number - first] = Batch(c.batchId, c.eventsRoot, c.newStateRoot, c.eventCount);
        }
    }

    function run(uint256 first, uint256 last) internal pure returns (Run memory) {
        return run(TENANT, STORE, first, last);
    }

    function commitRuns(SetRegistry target, Run[] memory runs) internal returns (uint256) {
        vm.prank(sequencer);
        return target.commitBatches(runs);
    }

    function commitRun(Run memory r) internal returns (uint256) {
        Run[] memory runs = new Run[](1);
        runs[0] = r;
        return commitRuns(registry, runs);
    }

    /// @dev That the registry holds exactly `c`, by every getter that tells of a batch.
    function assertStored(SetRegistry target, Commit memory c, uint64 timestamp) internal view {
        BatchCommitment memory stored = target.getBatchCommitment(c.batchId);
        vm.assertEq(
            abi.encode(stored),
            abi.encode(c.eventsRoot, c.newStateRoot, c.sequenceStart, c.sequenceEnd, c.eventCount, timestamp)
        );
        vm.assertEq(target.getPrevStateRoot(c.batchId), c.prevStateRoot);
        vm.assertTrue(target.batchExists(c.batchId));
    }

    function assertStored(Commit memory c) internal view {
        assertStored(registry, c, uint64(block.timestamp));
    }

    function assertHead(bytes32 batchId, bytes32 root, uint64 sequence) internal view {
        vm.assertEq(registry.getLatestBatchId(TENANT, STORE), batchId);
        vm.assertEq(registry.latestCommitment(key(TENANT, STORE)), batchId);
        vm.assertEq(registry.getLatestStateRoot(TENANT, STORE), root);
        vm.assertEq(registry.getHeadSequence(TENANT, STORE), sequence);
    }

    function assertHead(Commit memory c) internal view {
        assertHead(c.batchId, c.newStateRoot, c.sequenceEnd);
    }
}
