// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Run, StreamHead} from "../../src/registry/RegistryTypes.sol";
import {RegistryTest} from "./RegistryTest.sol";

/// What the owner decides about single streams, and what can be asked of them.
contract StreamsTest is RegistryTest {
    function _setHead(bytes32 batchId, uint64 sequence, bytes32 root) private {
        vm.prank(owner);
        registry.setStreamHead(TENANT, STORE, batchId, sequence, root);
    }

    function _bind(address to) private {
        vm.prank(owner);
        registry.setStreamSequencer(TENANT, STORE, to);
    }

    function test_aBoundStreamTakesOnlyItsSequencer() public {
        vm.prank(owner);
        registry.setSequencerAuthorization(stranger, true);
        vm.expectEmit(address(registry));
        emit StreamSequencerSet(key(TENANT, STORE), stranger);
        _bind(stranger);
        vm.assertEq(registry.streamSequencer(key(TENANT, STORE)), stranger);
        assertHead(0, 0, 0);

        commitReverts(batch(1), abi.encodeWithSelector(StreamBoundToSequencer.selector, stranger));
        vm.expectEmit(address(registry));
        emit BatchSkipped(batch(1).batchId, key(TENANT, STORE), StreamBoundToSequencer.selector);
        vm.assertEq(commitRun(run(1, 1)), 0);

        Run[] memory runs = new Run[](1);
        runs[0] = run(1, 1);
        vm.prank(stranger);
        registry.commitBatches(runs);
        assertStored(batch(1));

        _bind(address(0));
        commit(batch(2));
        assertStored(batch(2));
    }

    /// The binding outlives commitments and heads set by the owner.
    function test_aBindingStaysUntilTheOwnerEndsIt() public {
        _bind(sequencer);
        commit(batch(1));
        commitRun(run(2, 3));
        _setHead(batch(5).batchId, 50, batch(5).newStateRoot);
        commit(batch(6));
        _setHead(0, 0, 0);
        _bind(stranger);
        commitReverts(batch(7), abi.encodeWithSelector(StreamBoundToSequencer.selector, stranger));
    }

    function test_bindingAloneDoesNotAuthorise() public {
        _bind(stranger);
        vm.prank(stranger);
        vm.expectRevert(NotAuthorizedSequencer.selector);
        registry.commitBatch(batch(1).batchId, TENANT, STORE, "events", 0, 0, 1, 1, 1);
    }

    function test_theOwnerRecoversFromAWrongCommitment() public {
        commit(batch(1));
        Commit memory wrong = batch(2);
        wrong.batchId = uuid("wrong");
        wrong.newStateRoot = "wrong";
        commit(wrong);
        commitReverts(
            batch(3), abi.encodeWithSelector(StateRootMismatch.selector, bytes32("wrong"), batch(3).prevStateRoot)
        );

        vm.expectEmit(address(registry));
        emit StreamHeadSet(key(TENANT, STORE), batch(1).batchId, 10, batch(1).newStateRoot);
        _setHead(batch(1).batchId, 10, batch(1).newStateRoot);
        assertHead(batch(1));
        commit(batch(2));
        assertStored(batch(2));
        assertStored(wrong);
        commitRun(run(3, 4));
        assertHead(batch(4));
    }

    /// A head from elsewhere: its batch has no record here, and an id of any shape.
    function testFuzz_aStreamIsTakenOver(bytes32 batchId, uint64 sequence, bytes32 root, bool inBulk) public {
        vm.assume(batchId != 0);
        sequence = uint64(bound(sequence, 0, type(uint64).max - 20));
        vm.expectEmit(address(registry));
        emit StreamOpened(key(TENANT, STORE), TENANT, STORE);
        _setHead(batchId, sequence, root);
        assertHead(batchId, root, sequence);
        vm.assertFalse(registry.batchExists(batchId));
        vm.assertEq(registry.totalCommitments(), 0);

        Commit memory next = batch(2);
        vm.assume(next.batchId != batchId);
        next.prevStateRoot = root;
        next.sequenceStart = sequence + 1;
        next.sequenceEnd = sequence + 10;
        vm.recordLogs();
        if (inBulk) {
            Run memory r = run(2, 2);
            r.prevStateRoot = root;
            r.sequenceStart = sequence + 1;
            vm.assertEq(commitRun(r), 1);
        } else {
            commit(next);
        }
        vm.assertEq(vm.getRecordedLogs().length, 1);
        assertStored(next);
        assertHead(next);
    }

    /// Also of a head that a bulk call left.
    function test_theOwnerMovesAHeadThatIsKeptInCode() public {
        commitRun(run(1, 3));
        _setHead(batch(2).batchId, 20, batch(2).newStateRoot);
        Run memory again = run(3, 4);
        again.batches[0].batchId = uuid("another third");
        vm.assertEq(commitRun(again), 2);
        assertHead(batch(4));
    }

    function test_aClosedStreamStartsAgain() public {
        commit(batch(1));
        _setHead(0, 0, 0);
        assertHead(0, 0, 0);
        Commit memory first = batch(1);
        first.batchId = uuid("first again");
        vm.expectEmit(address(registry));
        emit StreamOpened(key(TENANT, STORE), TENANT, STORE);
        commit(first);
        assertStored(first);
        assertStored(batch(1));
    }

    function test_refusesHeadsThatNameNothing() public {
        vm.startPrank(owner);
        vm.expectRevert(EmptyBatchId.selector);
        registry.setStreamHead(TENANT, STORE, 0, 1, 0);
        vm.expectRevert(EmptyBatchId.selector);
        registry.setStreamHead(TENANT, STORE, 0, 0, "root");
        vm.expectRevert(EmptyTenantId.selector);
        registry.setStreamHead(0, STORE, "batch", 1, 0);
        vm.expectRevert(EmptyStoreId.selector);
        registry.setStreamHead(TENANT, 0, "batch", 1, 0);
        vm.expectRevert(EmptyTenantId.selector);
        registry.setStreamSequencer(0, STORE, sequencer);
        vm.expectRevert(EmptyStoreId.selector);
        registry.setStreamSequencer(TENANT, 0, sequencer);
    }

    function test_severalStreamsAtOnce() public {
        commit(batch(1));
        bytes32 bulkStore = uuid("bulk");
        commitRun(run(TENANT, bulkStore, 1, 2));
        bytes32[] memory tenants = new bytes32[](3);
        bytes32[] memory stores = new bytes32[](3);
        (tenants[0], tenants[1], tenants[2]) = (TENANT, TENANT, TENANT);
        (stores[0], stores[1], stores[2]) = (STORE, bulkStore, "unknown");

        StreamHead[] memory heads = registry.getStreamHeads(tenants, stores);
        Commit memory second = batchOf(TENANT, bulkStore, 2);
        vm.assertEq(abi.encode(heads[0]), abi.encode(StreamHead(batch(1).batchId, batch(1).newStateRoot, 10, true)));
        vm.assertEq(abi.encode(heads[1]), abi.encode(StreamHead(second.batchId, second.newStateRoot, 20, true)));
        vm.assertEq(abi.encode(heads[2]), abi.encode(StreamHead(0, 0, 0, false)));
        bytes32[] memory roots = registry.getBatchLatestStateRoots(tenants, stores);
        uint64[] memory sequences = registry.getBatchHeadSequences(tenants, stores);
        for (uint256 i; i < 3; ++i) {
            vm.assertEq(roots[i], heads[i].stateRoot);
            vm.assertEq(sequences[i], heads[i].sequence);
        }

        bytes32[] memory two = new bytes32[](2);
        vm.expectRevert(ArrayLengthMismatch.selector);
        registry.getStreamHeads(tenants, two);
        vm.expectRevert(ArrayLengthMismatch.selector);
        registry.getBatchLatestStateRoots(tenants, two);
        vm.expectRevert(ArrayLengthMismatch.selector);
        registry.getBatchHeadSequences(tenants, two);
    }
}
