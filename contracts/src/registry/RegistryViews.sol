// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {HeadWord} from "./HeadWord.sol";
import {ISetRegistry} from "./ISetRegistry.sol";
import {BatchCommitment, StarkProof, StreamHead} from "./RegistryTypes.sol";
import {StatusWord} from "./StatusWord.sol";
import {StreamReader} from "./StreamReader.sol";
import {VesInclusion} from "./VesInclusion.sol";

/// @title RegistryViews
/// @notice Everything that can be asked of the registry.
abstract contract RegistryViews is StreamReader {
    // ------------------------------------------------------------------ inclusion

    /// @inheritdoc ISetRegistry
    function verifyInclusion(bytes32 batchId, bytes32 leaf, bytes32[] calldata proof, uint256 index)
        external
        view
        returns (bool valid)
    {
        BatchCommitment memory commitment = _readRecord(batchId);
        return VesInclusion.verify(commitment.eventsRoot, commitment.eventCount, leaf, proof, index);
    }

    /// @inheritdoc ISetRegistry
    function verifyMultipleInclusions(
        bytes32 batchId,
        bytes32[] calldata leaves,
        bytes32[][] calldata proofs,
        uint256[] calldata indices
    ) external view returns (bool allValid) {
        if (leaves.length == 0 || leaves.length != proofs.length || leaves.length != indices.length) return false;
        BatchCommitment memory commitment = _readRecord(batchId);
        for (uint256 i; i < leaves.length; ++i) {
            if (!VesInclusion.verify(commitment.eventsRoot, commitment.eventCount, leaves[i], proofs[i], indices[i])) {
                return false;
            }
        }
        return true;
    }

    // ------------------------------------------------------------------ batches

    /// @inheritdoc ISetRegistry
    function commitments(bytes32 batchId)
        external
        view
        returns (
            bytes32 eventsRoot,
            bytes32 newStateRoot,
            uint64 sequenceStart,
            uint64 sequenceEnd,
            uint32 eventCount,
            uint64 timestamp
        )
    {
        BatchCommitment memory c = _readRecord(batchId);
        return (c.eventsRoot, c.newStateRoot, c.sequenceStart, c.sequenceEnd, c.eventCount, c.timestamp);
    }

    /// @inheritdoc ISetRegistry
    function getBatchCommitment(bytes32 batchId) external view returns (BatchCommitment memory commitment) {
        return _readRecord(batchId);
    }

    /// @inheritdoc ISetRegistry
    function getBatchCommitments(bytes32[] calldata batchIds)
        external
        view
        returns (BatchCommitment[] memory commitmentList)
    {
        commitmentList = new BatchCommitment[](batchIds.length);
        for (uint256 i; i < batchIds.length; ++i) {
            commitmentList[i] = _readRecord(batchIds[i]);
        }
    }

    /// @inheritdoc ISetRegistry
    function getPrevStateRoot(bytes32 batchId) external view returns (bytes32 prevStateRoot) {
        if (!_isCommitted(batchId)) revert BatchNotCommitted();
        return _readPrevStateRoot(batchId);
    }

    /// @inheritdoc ISetRegistry
    function getBatchWithProofStatus(bytes32 batchId)
        external
        view
        returns (BatchCommitment memory commitment, bool hasProof, bool proofCompliant)
    {
        commitment = _readRecord(batchId);
        hasProof = _hasProof(batchId);
        proofCompliant = _starkProofs[batchId].allCompliant;
    }

    /// @inheritdoc ISetRegistry
    function batchExists(bytes32 batchId) external view returns (bool exists) {
        return _isCommitted(batchId);
    }

    /// @inheritdoc ISetRegistry
    function batchExists(bytes32[] calldata batchIds) external view returns (bool[] memory exists) {
        exists = new bool[](batchIds.length);
        for (uint256 i; i < batchIds.length; ++i) {
            exists[i] = _isCommitted(batchIds[i]);
        }
    }

    // ------------------------------------------------------------------ streams

    /// @inheritdoc ISetRegistry
    function latestCommitment(bytes32 tenantStoreKey) external view returns (bytes32 batchId) {
        return _headBatchId(tenantStoreKey, _heads[tenantStoreKey]);
    }

    /// @inheritdoc ISetRegistry
    function getLatestBatchId(bytes32 tenantId, bytes32 storeId) external view returns (bytes32 batchId) {
        return _readHead(tenantId, storeId).batchId;
    }

    /// @inheritdoc ISetRegistry
    function getLatestStateRoot(bytes32 tenantId, bytes32 storeId) external view returns (bytes32 stateRoot) {
        return _readHead(tenantId, storeId).stateRoot;
    }

    /// @inheritdoc ISetRegistry
    function getHeadSequence(bytes32 tenantId, bytes32 storeId) external view returns (uint64 sequence) {
        return _readHead(tenantId, storeId).sequence;
    }

    /// @inheritdoc ISetRegistry
    function getBatchLatestStateRoots(bytes32[] calldata tenantIds, bytes32[] calldata storeIds)
        external
        view
        returns (bytes32[] memory stateRoots)
    {
        if (tenantIds.length != storeIds.length) revert ArrayLengthMismatch();
        stateRoots = new bytes32[](tenantIds.length);
        for (uint256 i; i < tenantIds.length; ++i) {
            stateRoots[i] = _readHead(tenantIds[i], storeIds[i]).stateRoot;
        }
    }

    /// @inheritdoc ISetRegistry
    function getBatchHeadSequences(bytes32[] calldata tenantIds, bytes32[] calldata storeIds)
        external
        view
        returns (uint64[] memory sequences)
    {
        if (tenantIds.length != storeIds.length) revert ArrayLengthMismatch();
        sequences = new uint64[](tenantIds.length);
        for (uint256 i; i < tenantIds.length; ++i) {
            sequences[i] = _readHead(tenantIds[i], storeIds[i]).sequence;
        }
    }

    /// @inheritdoc ISetRegistry
    function getStreamHeads(bytes32[] calldata tenantIds, bytes32[] calldata storeIds)
        external
        view
        returns (StreamHead[] memory heads)
    {
        if (tenantIds.length != storeIds.length) revert ArrayLengthMismatch();
        heads = new StreamHead[](tenantIds.length);
        for (uint256 i; i < tenantIds.length; ++i) {
            heads[i] = _readHead(tenantIds[i], storeIds[i]);
        }
    }

    /// @inheritdoc ISetRegistry
    function getTenantStoreSummary(bytes32 tenantId, bytes32 storeId)
        external
        view
        returns (bytes32 latestBatchId, bytes32 currentStateRoot, uint64 currentHeadSequence, bool hasLatestProof)
    {
        StreamHead memory head = _readHead(tenantId, storeId);
        return (head.batchId, head.stateRoot, head.sequence, _hasProof(head.batchId));
    }

    // ------------------------------------------------------------------ STARK proofs

    /// @inheritdoc ISetRegistry
    function starkProofs(bytes32 batchId)
        external
        view
        returns (
            bytes32 proofHash,
            bytes32 policyHash,
            uint64 policyLimit,
            bool allCompliant,
            uint64 proofSize,
            uint64 provingTimeMs,
            uint64 timestamp
        )
    {
        StarkProof memory p = _starkProofs[batchId];
        return (p.proofHash, p.policyHash, p.policyLimit, p.allCompliant, p.proofSize, p.provingTimeMs, p.timestamp);
    }

    /// @inheritdoc ISetRegistry
    function getStarkProofDetails(bytes32 batchId)
        external
        view
        returns (bytes32 proofHash, bytes32 policyHash, bool allCompliant, uint64 timestamp)
    {
        StarkProof memory p = _starkProofs[batchId];
        return (p.proofHash, p.policyHash, p.allCompliant, p.timestamp);
    }

    /// @inheritdoc ISetRegistry
    function hasStarkProof(bytes32 batchId) external view returns (bool hasProof) {
        return _hasProof(batchId);
    }

    /// @inheritdoc ISetRegistry
    function verifyStarkProofHash(bytes32 batchId, bytes32 proofHash) external view returns (bool valid) {
        return proofHash != 0 && _starkProofs[batchId].proofHash == proofHash;
    }

    /// @inheritdoc ISetRegistry
    function getBatchProofStatuses(bytes32[] calldata batchIds)
        external
        view
        returns (bool[] memory hasProofs, bool[] memory allCompliant)
    {
        hasProofs = new bool[](batchIds.length);
        allCompliant = new bool[](batchIds.length);
        for (uint256 i; i < batchIds.length; ++i) {
            hasProofs[i] = _hasProof(batchIds[i]);
            allCompliant[i] = _starkProofs[batchIds[i]].allCompliant;
        }
    }

    // ------------------------------------------------------------------ the registry

    /// @inheritdoc ISetRegistry
    function areSequencersAuthorized(address[] calldata addresses) external view returns (bool[] memory authorized) {
        authorized = new bool[](addresses.length);
        for (uint256 i; i < addresses.length; ++i) {
            authorized[i] = authorizedSequencers[addresses[i]];
        }
    }

    /// @inheritdoc ISetRegistry
    function strictModeEnabled() external view returns (bool enabled) {
        return _status.strictMode();
    }

    /// @inheritdoc ISetRegistry
    function genesisRequired() external view returns (bool required) {
        return _status.genesisRequired();
    }

    /// @inheritdoc ISetRegistry
    function paused() external view returns (bool isPaused) {
        return _status.paused();
    }

    /// @inheritdoc ISetRegistry
    function totalCommitments() external view returns (uint256 count) {
        return _status.commitmentCount();
    }

    /// @inheritdoc ISetRegistry
    function totalStarkProofs() external view returns (uint256 count) {
        return _status.starkProofCount();
    }

    /// @inheritdoc ISetRegistry
    function getRegistryStats()
        external
        view
        returns (uint256 commitmentCount, uint256 proofCount, bool isPaused, bool isStrictMode)
    {
        StatusWord status = _status;
        return (status.commitmentCount(), status.starkProofCount(), status.paused(), status.strictMode());
    }

    /// @inheritdoc ISetRegistry
    function getExtendedRegistryStatus()
        external
        view
        returns (
            uint256 totalBatches,
            uint256 totalProofs,
            uint256 sequencerCount,
            bool isPaused,
            bool isStrictMode,
            uint256 proofCoverage
        )
    {
        StatusWord status = _status;
        totalBatches = status.commitmentCount();
        totalProofs = status.starkProofCount();
        sequencerCount = authorizedSequencerCount;
        isPaused = status.paused();
        isStrictMode = status.strictMode();
        proofCoverage = totalBatches == 0 ? 10_000 : totalProofs * 10_000 / totalBatches;
    }

    /// @inheritdoc ISetRegistry
    function registryVersion() external pure returns (uint256 version) {
        return 1;
    }

    /// @inheritdoc ISetRegistry
    function layoutVersion() external view returns (uint256 version) {
        return _status.layoutVersion();
    }

    function _hasProof(bytes32 batchId) private view returns (bool) {
        return _starkProofs[batchId].proofHash != 0;
    }

    function _readHead(bytes32 tenantId, bytes32 storeId) private view returns (StreamHead memory) {
        bytes32 key = _streamKey(tenantId, storeId);
        HeadWord head = _heads[key];
        return StreamHead(_headBatchId(key, head), _headStateRoot(key, head), head.sequence(), head.opened());
    }
}
