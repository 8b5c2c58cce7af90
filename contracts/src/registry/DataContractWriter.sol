// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Proposal} from "./CommitRules.sol";
import {DataContract} from "./DataContract.sol";
import {IRegistryEvents} from "./IRegistryEvents.sol";
import {RecordWord, pendingWord} from "./RecordWord.sol";
import {Record} from "./RegistryStorage.sol";

/// @notice Records on their way into a data contract.
/// @param start Memory address of the code that is being built, right after the code that deploys it.
/// @param length Bytes of that code.
/// @param capacity Bytes that it may grow to.
/// @param lastRoot New state root of the last entry, the code's last 32 bytes.
/// @param boundStream Key of the last entry's stream if that is bound, else zero.
/// @param boundPosition How many entries follow that key in the code.
/// @param pendingStart Memory address of a list of records whose storage lacks the contract's address: pairs of a record's
/// slot and its word.
/// @param pendingEnd Where that list ends.
struct DataContractWriter {
    uint256 start;
    uint256 length;
    uint256 capacity;
    bytes32 lastRoot;
    bytes32 boundStream;
    uint256 boundPosition;
    uint256 pendingStart;
    uint256 pendingEnd;
}

using {append, seal, pendingNewStateRoot} for DataContractWriter global;

/// @dev The most that an entry takes, with the words before it.
uint256 constant MAX_ENTRY_SIZE = 2 * DataContract.WORD_SIZE + DataContract.ENTRY_SIZE;

/// @dev PUSH2 length, DUP1, PUSH1 10, RETURNDATASIZE, CODECOPY, RETURNDATASIZE, RETURN: deploys the code after it.
uint256 constant DEPLOY_CODE = 0x61000080600a3d393df3;
uint256 constant DEPLOY_CODE_SIZE = 10;

/// @dev A writer with room for `entryCount` records, as many of them at a time as one contract can hold.
function newWriter(uint256 entryCount) pure returns (DataContractWriter memory writer) {
    uint256 worst = DataContract.HEADER_SIZE + entryCount * MAX_ENTRY_SIZE;
    uint256 capacity = worst < DataContract.MAX_CODE_SIZE ? worst : DataContract.MAX_CODE_SIZE;
    // A word before the code for what deploys it, a word after it because an entry's last store is a whole word.
    bytes memory room = new bytes(32 + capacity + 32);
    uint256 start;
    assembly ("memory-safe") {
        start := add(room, 64)
    }
    writer.start = start;
    writer.length = DataContract.HEADER_SIZE;
    writer.capacity = capacity;
    uint256[] memory pending = new uint256[](2 * entryCount);
    uint256 pendingStart;
    assembly ("memory-safe") {
        pendingStart := add(pending, 32)
    }
    writer.pendingStart = pendingStart;
    writer.pendingEnd = pendingStart;
}

/// @dev Adds a record of a batch that the rules allow. Its storage is marked at once, so that its id is taken for the rest of
/// the call; `seal` must follow before the call ends, or the mark points nowhere.
/// @param boundStream Key of the batch's stream if that is bound, else zero.
function append(
    DataContractWriter memory writer,
    Record storage record,
    Proposal memory proposal,
    bytes32 boundStream
) {
    if (writer.length + MAX_ENTRY_SIZE > writer.capacity) seal(writer);

    uint256 start = writer.start;
    uint256 offset = writer.length;
    bytes32 prevStateRoot = proposal.prevStateRoot;
    if (offset == DataContract.HEADER_SIZE || writer.lastRoot != prevStateRoot || writer.boundStream != boundStream) {
        if (boundStream != 0) {
            assembly ("memory-safe") {
                mstore(add(start, offset), boundStream)
            }
            offset += DataContract.WORD_SIZE;
        }
        assembly ("memory-safe") {
            mstore(add(start, offset), prevStateRoot)
        }
        offset += DataContract.WORD_SIZE;
        writer.boundStream = boundStream;
        writer.boundPosition = 0;
    }
    uint256 position;
    if (boundStream != 0) {
        position = writer.boundPosition + 1;
        writer.boundPosition = position;
    }
    bytes32 eventsRoot = proposal.eventsRoot;
    bytes32 newStateRoot = proposal.newStateRoot;
    uint32 eventCount = proposal.eventCount;
    assembly ("memory-safe") {
        let entry := add(start, offset)
        mstore(entry, eventsRoot)
        mstore(add(entry, 32), shl(224, eventCount))
        mstore(add(entry, 36), newStateRoot)
    }
    writer.length = offset + DataContract.ENTRY_SIZE;
    writer.lastRoot = newStateRoot;

    // None can be cut: the rules bound the range, the code's size limit the rest.
    RecordWord word = pendingWord(uint64(proposal.sequenceStart), uint16(position), uint16(offset));
    record.word = word;
    uint256 next = writer.pendingEnd;
    assembly ("memory-safe") {
        mstore(next, record.slot)
        mstore(add(next, 32), word)
    }
    writer.pendingEnd = next + 64;
}

/// @dev Creates the contract, if anything is to be written, completes the records' storage, and starts anew.
function seal(DataContractWriter memory writer) {
    uint256 pendingStart = writer.pendingStart;
    uint256 pendingEnd = writer.pendingEnd;
    if (pendingEnd == pendingStart) return;

    uint256 start = writer.start;
    uint256 length = writer.length;
    uint256 prefix =
        (DEPLOY_CODE | length << 56) << 80 | DataContract.VERSION << 64 | SafeCast.toUint64(block.timestamp);
    address created;
    assembly ("memory-safe") {
        // The prefix is 20 bytes: the deploying code ends where the code starts, the code's header follows.
        mstore(sub(add(start, 10), 32), prefix)
        created := create(0, sub(start, DEPLOY_CODE_SIZE), add(length, DEPLOY_CODE_SIZE))
    }
    if (created == address(0)) revert IRegistryEvents.DataContractNotCreated();

    for (uint256 next = pendingStart; next != pendingEnd; next += 64) {
        Record storage record;
        RecordWord word;
        assembly ("memory-safe") {
            record.slot := mload(next)
            word := mload(add(next, 32))
        }
        record.word = word.withDataContract(created);
    }
    writer.pendingEnd = pendingStart;
    writer.length = DataContract.HEADER_SIZE;
}

/// @dev The new state root of a record that was appended and not sealed yet.
function pendingNewStateRoot(DataContractWriter memory writer, RecordWord word) pure returns (bytes32 newStateRoot) {
    uint256 entry = writer.start + word.offset();
    assembly ("memory-safe") {
        newStateRoot := mload(add(entry, 36))
    }
}
