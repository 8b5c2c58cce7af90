//! What is called of the contracts on L1 (`@eth-optimism/contracts-bedrock` 0.17.3) to set them up.

use alloy_sol_types::sol;

sol! {
    interface Proxy {
        function upgradeTo(address implementation) external;
        function upgradeToAndCall(address implementation, bytes data) external payable returns (bytes);
    }

    interface SuperchainConfig {
        function initialize(address guardian, bool paused) external;
        function pause(string identifier) external;
        function unpause() external;
    }

    interface SystemConfig {
        struct ResourceConfig {
            uint32 maxResourceLimit;
            uint8 elasticityMultiplier;
            uint8 baseFeeMaxChangeDenominator;
            uint32 minimumBaseFee;
            uint32 systemTxMaxGas;
            uint128 maximumBaseFee;
        }

        struct Addresses {
            address l1CrossDomainMessenger;
            address l1ERC721Bridge;
            address l1StandardBridge;
            address disputeGameFactory;
            address optimismPortal;
            address optimismMintableERC20Factory;
            address gasPayingToken;
        }

        event ConfigUpdate(uint256 indexed version, uint8 indexed updateType, bytes data);

        function initialize(
            address owner,
            uint32 basefeeScalar,
            uint32 blobbasefeeScalar,
            bytes32 batcherHash,
            uint64 gasLimit,
            address unsafeBlockSigner,
            ResourceConfig config,
            address batchInbox,
            Addresses addresses
        ) external;
    }

    interface OptimismPortal {
        function initialize(
            address disputeGameFactory,
            address systemConfig,
            address superchainConfig,
            uint32 initialRespectedGameType
        ) external;
        function blacklistDisputeGame(address game) external;
        function setRespectedGameType(uint32 gameType) external;
    }

    interface DisputeGameFactory {
        function initialize(address owner) external;
        function setImplementation(uint32 gameType, address implementation) external;
        function setInitBond(uint32 gameType, uint256 bond) external;
        function initBonds(uint32 gameType) external view returns (uint256);
        function gameImpls(uint32 gameType) external view returns (address);
        event DisputeGameCreated(address indexed disputeProxy, uint32 indexed gameType, bytes32 indexed rootClaim);
        function create(uint32 gameType, bytes32 rootClaim, bytes extraData) external payable returns (address);
    }

    interface DelayedWETH {
        function initialize(address owner, address config) external;
    }

    interface AnchorStateRegistry {
        struct OutputRoot {
            bytes32 root;
            uint256 l2BlockNumber;
        }

        struct StartingAnchorRoot {
            uint32 gameType;
            OutputRoot outputRoot;
        }

        function initialize(StartingAnchorRoot[] roots) external;
    }

    interface FaultDisputeGame {
        function getRequiredBond(uint128 position) external view returns (uint256);
        function attack(bytes32 disputed, uint256 parentIndex, bytes32 claim) external payable;
        function resolveClaim(uint256 claimIndex, uint256 numToResolve) external;
        function resolve() external returns (uint8);
    }
}
