// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SetRegistry} from "../../src/SetRegistry.sol";
import {Batch, BatchCommitment, Run} from "../../src/registry/RegistryTypes.sol";
import {NextRegistry} from "./NextRegistry.sol";
import {RegistryTest} from "./RegistryTest.sol";

/// A sequencer and an owner at work, with a model of what the registry must hold.
contract RegistryHandler is RegistryTest {
    uint256 private constant STREAMS = 3;

    /// The model: what was committed, and where each stream stands.
    bytes32[] private ids;
    mapping(bytes32 batchId => bytes) private stored;
    mapping(uint256 stream => bytes32[3]) private heads;
    uint256 private proofs;
    uint256 private batches;
    mapping(bytes32 batchId => bool) private proven;

    constructor(SetRegistry target) {
        registry = target;
    }

    /// @dev Nothing to set up: the registry is given.
    function setUp() public override {}

    /// A batch that continues its stream, alone; its id is a UUID or not.
    function commitNext(uint256 stream, uint32 count, bool isUuid) external {
        stream %= STREAMS;
        Commit memory c = _next(stream, count, isUuid);
        commit(c);
        _remember(stream, c);
    }

    /// Runs of batches that continue their streams; of each run one batch may be broken, which its successors don't survive.
    function commitMany(uint256 seed) external {
        Run[] memory runs = new Run[](1 + seed % 3);
        uint256 expected;
        for (uint256 i; i < runs.length; ++i) {
            uint256 word = uint256(keccak256(abi.encode(seed, i)));
            uint256 stream = word % STREAMS;
            uint256 length = 1 + (word >> 8) % 4;
            uint256 broken = (word >> 16) % 6;
            Run memory r = runs[i];
            r.batches = new Batch[](length);
            for (uint256 j; j < length; ++j) {
                Commit memory c = _next(stream, uint32(word >> (32 + j)), (word >> 24) & 1 == 0);
                if (j == 0) {
                    (r.tenantId, r.storeId, r.prevStateRoot, r.sequenceStart) =
                    (c.tenantId, c.storeId, c.prevStateRoot, c.sequenceStart);
                }
                r.batches[j] = Batch(c.batchId, j == broken ? bytes32(0) : c.eventsRoot, c.newStateRoot, c.eventCount);
                if (j >= broken) continue;
                _remember(stream, c);
                ++expected;
            }
        }
        vm.assertEq(commitRuns(registry, runs), expected);
    }

    /// Something that was committed before must never go in again, whatever else is new about it.
    function commitAgain(uint256 which) external {
        if (ids.length == 0) return;
        Commit memory c = _next(which % STREAMS, 1, true);
        c.batchId = ids[which % ids.length];
        commitReverts(c, abi.encodeWithSelector(BatchAlreadyCommitted.selector));
    }

    function prove(uint256 which) external {
        if (ids.length == 0) return;
        bytes32 batchId = ids[which % ids.length];
        if (proven[batchId]) return;
        bytes32 prev = registry.getPrevStateRoot(batchId);
        bytes32 next = registry.getBatchCommitment(batchId).newStateRoot;
        vm.prank(sequencer);
        registry.commitStarkProof(batchId, "proof", prev, next, 0, 0, false, 1, 0);
        proven[batchId] = true;
        ++proofs;
    }

    /// The owner moves a head to anywhere.
    function setHead(uint256 stream, bytes32 batchId, uint32 sequence, bytes32 root) external {
        if (batchId == 0) return;
        stream %= STREAMS;
        vm.prank(owner);
        registry.setStreamHead(TENANT, _store(stream), batchId, sequence, root);
        heads[stream] = [batchId, root, bytes32(uint256(sequence))];
    }

    function upgrade() external {
        address implementation = address(new NextRegistry());
        vm.prank(owner);
        registry.upgradeToAndCall(implementation, "");
    }

    function check() external view {
        vm.assertEq(registry.totalCommitments(), ids.length);
        vm.assertEq(registry.totalStarkProofs(), proofs);
        for (uint256 i; i < ids.length; ++i) {
            BatchCommitment memory record = registry.getBatchCommitment(ids[i]);
            vm.assertEq(abi.encode(record, registry.getPrevStateRoot(ids[i])), stored[ids[i]]);
            vm.assertTrue(registry.hasStarkProof(ids[i]) == proven[ids[i]]);
        }
        for (uint256 stream; stream < STREAMS; ++stream) {
            bytes32 store = _store(stream);
            vm.assertEq(registry.getLatestBatchId(TENANT, store), heads[stream][0]);
            vm.assertEq(registry.getLatestStateRoot(TENANT, store), heads[stream][1]);
            vm.assertEq(registry.getHeadSequence(TENANT, store), uint256(heads[stream][2]));
        }
    }

    function _store(uint256 stream) private pure returns (bytes32) {
        return bytes32(stream + 1);
    }

    function _next(uint256 stream, uint32 count, bool isUuid) private returns (Commit memory c) {
        bytes32 random = keccak256(abi.encode(++batches));
        c.batchId = isUuid ? bytes32(bytes16(random)) : random;
        c.tenantId = TENANT;
        c.storeId = _store(stream);
        c.eventsRoot = keccak256(abi.encode(random, "events"));
        c.prevStateRoot = heads[stream][1];
        c.newStateRoot = keccak256(abi.encode(random, "state"));
        c.sequenceStart = uint64(uint256(heads[stream][2])) + 1;
        c.eventCount = uint32(bound(count, 1, type(uint32).max));
        c.sequenceEnd = c.sequenceStart + (c.eventCount - 1);
    }

    function _remember(uint256 stream, Commit memory c) private {
        ids.push(c.batchId);
        stored[c.batchId] = abi.encode(
            c.eventsRoot,
            c.newStateRoot,
            c.sequenceStart,
            c.sequenceEnd,
            c.eventCount,
            uint64(block.timestamp),
            c.prevStateRoot
        );
        heads[stream] = [c.batchId, c.newStateRoot, bytes32(uint256(c.sequenceEnd))];
    }
}

/// What holds after any sequence of commitments, proofs, moved heads and upgrades.
contract RegistryInvariantsTest is RegistryTest {
    RegistryHandler private handler;

    function setUp() public override {
        super.setUp();
        handler = new RegistryHandler(registry);
        targetContract(address(handler));
    }

    /// Every record reads back as committed, counters and heads are exact.
    function invariant_theRegistryHoldsWhatWasCommitted() public view {
        handler.check();
    }
}
