// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {RegistryTest} from "./RegistryTest.sol";

/// One batch at a time: what is stored, and what is refused, in which order.
contract CommitBatchTest is RegistryTest {
    function test_storesWhatItWasGiven() public {
        commit(batch(1));
        assertStored(batch(1));
        assertHead(batch(1));

        vm.warp(block.timestamp + 2);
        commit(batch(2));
        assertStored(batch(2));
        assertHead(batch(2));
        assertStored(registry, batch(1), uint64(block.timestamp - 2));
        vm.assertEq(registry.totalCommitments(), 2);
    }

    function test_emitsTheStreamOnceAndEachBatch() public {
        Commit memory c = batch(1);
        vm.expectEmit(address(registry));
        emit StreamOpened(key(TENANT, STORE), TENANT, STORE);
        vm.expectEmit(address(registry));
        emit BatchCommitted(c.batchId, key(TENANT, STORE), c.eventsRoot, c.newStateRoot, 1, 10, 10);
        commit(c);

        vm.recordLogs();
        commit(batch(2));
        vm.assertEq(vm.getRecordedLogs().length, 1);
    }

    function test_refusesWhoMayNotCommit() public {
        Commit memory c = batch(1);
        vm.prank(stranger);
        vm.expectRevert(NotAuthorizedSequencer.selector);
        registry.commitBatch(c.batchId, TENANT, STORE, c.eventsRoot, c.prevStateRoot, c.newStateRoot, 1, 10, 10);
    }

    /// Each step repairs the first error, so that the next rule in the order shows.
    function test_checksInTheDocumentedOrder() public {
        commit(batch(1));
        vm.prank(owner);
        registry.setStreamSequencer(TENANT, STORE, stranger);

        Commit memory c = batch(1);
        c.batchId = 0;
        c.tenantId = 0;
        c.storeId = 0;
        c.eventsRoot = 0;
        c.prevStateRoot = "wrong";
        c.sequenceStart = 12;
        c.sequenceEnd = 11;
        c.eventCount = 11;
        commitReverts(c, abi.encodeWithSelector(EmptyBatchId.selector));
        c.batchId = batch(1).batchId;
        commitReverts(c, abi.encodeWithSelector(EmptyTenantId.selector));
        c.tenantId = TENANT;
        commitReverts(c, abi.encodeWithSelector(EmptyStoreId.selector));
        c.storeId = STORE;
        commitReverts(c, abi.encodeWithSelector(StreamBoundToSequencer.selector, stranger));
        vm.prank(owner);
        registry.setStreamSequencer(TENANT, STORE, sequencer);
        commitReverts(c, abi.encodeWithSelector(InvalidSequenceRange.selector));
        c.sequenceEnd = 21;
        commitReverts(c, abi.encodeWithSelector(InvalidEventCount.selector, uint64(10), uint32(11)));
        c.eventCount = 10;
        commitReverts(c, abi.encodeWithSelector(EmptyEventsRoot.selector));
        c.eventsRoot = "events";
        commitReverts(c, abi.encodeWithSelector(BatchAlreadyCommitted.selector));
        c.batchId = batch(2).batchId;
        commitReverts(c, abi.encodeWithSelector(StateRootMismatch.selector, batch(1).newStateRoot, bytes32("wrong")));
        c.prevStateRoot = batch(1).newStateRoot;
        commitReverts(c, abi.encodeWithSelector(SequenceGap.selector, uint64(11), uint64(12)));
        c.sequenceStart = 11;
        c.sequenceEnd = 20;
        commit(c);
        assertStored(c);
    }

    function test_authorisationComesBeforePause() public {
        vm.prank(owner);
        registry.pause();
        commitReverts(batch(1), abi.encodeWithSelector(EnforcedPause.selector));
        vm.prank(stranger);
        vm.expectRevert(NotAuthorizedSequencer.selector);
        registry.commitBatch(0, 0, 0, 0, 0, 0, 0, 0, 0);
    }

    /// 0 to 2^64-1 has 2^64 numbers, which no 64 bits can count.
    function test_refusesARangeWhoseLengthWraps() public {
        Commit memory c = batch(1);
        c.sequenceStart = 0;
        c.sequenceEnd = type(uint64).max;
        c.eventCount = 0;
        commitReverts(c, abi.encodeWithSelector(InvalidSequenceRange.selector));
    }

    function test_refusesACountPast32Bits() public {
        Commit memory c = batch(1);
        c.sequenceEnd = c.sequenceStart + type(uint32).max;
        c.eventCount = 0;
        commitReverts(c, abi.encodeWithSelector(InvalidEventCount.selector, uint64(1) << 32, uint32(0)));
        c.sequenceEnd -= 1;
        c.eventCount = type(uint32).max;
        commit(c);
        assertStored(c);
    }

    /// After the last sequence number there is no next one: not 0 either.
    function test_nothingFollowsAFullStream() public {
        Commit memory c = batch(1);
        c.sequenceStart = type(uint64).max - 9;
        c.sequenceEnd = type(uint64).max;
        commit(c);
        assertStored(c);

        Commit memory next = batch(2);
        next.sequenceStart = 0;
        next.sequenceEnd = 9;
        commitReverts(next, abi.encodeWithSelector(SequenceGap.selector, type(uint64).max, uint64(0)));
        next.sequenceStart = type(uint64).max;
        next.sequenceEnd = type(uint64).max;
        next.eventCount = 1;
        commitReverts(next, abi.encodeWithSelector(SequenceGap.selector, type(uint64).max, type(uint64).max));
    }

    function test_aFirstBatchMayStartAnywhereUntilGenesisIsRequired() public {
        Commit memory late = batch(3);
        vm.prank(owner);
        registry.setGenesisRequired(true);
        commitReverts(late, abi.encodeWithSelector(GenesisRequired.selector, uint64(21), late.prevStateRoot));
        Commit memory root = batch(1);
        root.prevStateRoot = "not zero";
        commitReverts(root, abi.encodeWithSelector(GenesisRequired.selector, uint64(1), bytes32("not zero")));
        commit(batch(1));
        commit(batch(2));

        vm.prank(owner);
        registry.setGenesisRequired(false);
        Commit memory other = batchOf(TENANT, "another store", 3);
        commit(other);
        assertStored(other);
    }

    function test_withoutStrictModeAnyRangeFollows() public {
        vm.prank(owner);
        registry.setStrictMode(false);
        commit(batch(1));
        Commit memory far = batch(7);
        commit(far);
        assertStored(far);
        assertHead(far);
        Commit memory back = batch(3);
        commit(back);
        assertStored(back);
        assertHead(back);
    }

    function test_streamsDoNotTouchEachOther() public {
        commit(batch(1));
        Commit memory other = batchOf(TENANT, uuid("other store"), 1);
        commit(other);
        assertHead(batch(1));
        assertStored(other);
        commit(batch(2));
        assertHead(batch(2));
    }

    /// The previous state root is kept exactly, however it has to be kept.
    function testFuzz_keepsThePreviousStateRoot(bytes32 first, bytes32 firstRoot, bytes32 second, bytes32 prev) public {
        vm.assume(first != 0 && second != 0 && first != second);
        vm.prank(owner);
        registry.setStrictMode(false);
        Commit memory a = batch(1);
        a.batchId = first;
        a.prevStateRoot = prev;
        a.newStateRoot = firstRoot;
        commit(a);
        assertStored(a);

        Commit memory b = batch(2);
        b.batchId = second;
        b.prevStateRoot = uint256(prev) % 2 == 0 ? firstRoot : prev;
        commit(b);
        assertStored(b);
        assertStored(a);
        assertHead(b);
    }

    function test_idsOfAnyShapeChain() public {
        Commit memory a = batch(1);
        a.batchId = keccak256("no UUID");
        commit(a);
        assertHead(a);
        Commit memory b = batch(2);
        b.batchId = bytes32(uint256(1));
        commit(b);
        assertStored(b);
        assertHead(b);
        commit(batch(3));
        assertStored(batch(3));
        assertHead(batch(3));
    }
}
