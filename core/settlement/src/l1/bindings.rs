//! What is asked of the OP Stack's contracts on L1. All of it is in contracts-bedrock from OptimismPortal2 on, unless a
//! line says that newer or older deployments alone answer.

use alloy::sol;

sol! {
    /// The portal: the one address that a verifier has to know. It leads to all others.
    interface OptimismPortal2 {
        function disputeGameFactory() external view returns (address);
        /// Newer portals (4.0), whose anchor state registry judges games.
        function anchorStateRegistry() external view returns (address);
        function respectedGameType() external view returns (uint32);
        /// Games of before are retired; newer portals hand on the anchor state registry's retirement timestamp.
        function respectedGameTypeUpdatedAt() external view returns (uint64);
        function disputeGameFinalityDelaySeconds() external view returns (uint256);
        function disputeGameBlacklist(address game) external view returns (bool);
        function paused() external view returns (bool);
    }

    /// The list of all dispute games. Anybody may add one.
    interface DisputeGameFactory {
        function gameCount() external view returns (uint256);
        function gameAtIndex(uint256 index) external view returns (uint32 gameType, uint64 timestamp, address proxy);
    }

    /// The judge of games' claims, in newer deployments.
    interface AnchorStateRegistry {
        function isGameClaimValid(address game) external view returns (bool);
    }

    /// A game about an output root: the getters that all such games have.
    interface FaultDisputeGame {
        function rootClaim() external view returns (bytes32);
        function status() external view returns (uint8);
        function resolvedAt() external view returns (uint64);
        /// The claimed L2 block, in older games and in some newer ones.
        function l2BlockNumber() external view returns (uint256);
        /// The claimed L2 block, in newer games.
        function l2SequenceNumber() external view returns (uint256);
        /// In games that know their chain.
        function l2ChainId() external view returns (uint256);
        /// In newer games.
        function wasRespectedGameTypeWhenCreated() external view returns (bool);
    }
}
