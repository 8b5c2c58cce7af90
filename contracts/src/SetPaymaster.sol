// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MerchantViews} from "./paymaster/MerchantViews.sol";
import {Sponsorships} from "./paymaster/Sponsorships.sol";
import {Treasury} from "./paymaster/Treasury.sol";

/// @title SetPaymaster
/// @notice Pays merchants of a Set Chain network for the gas of their commerce operations, within limits per transaction, day
/// and month. It is a vault that operators pay from, not an ERC-4337 paymaster.
/// @dev Behind an ERC-1967 proxy, upgradeable by its owner (UUPS). Each part is a file in paymaster/:
///
/// | part | what |
/// | --- | --- |
/// | `IPaymasterEvents` | events and errors |
/// | `PaymasterStorage` | all state |
/// | `PaymasterAccess` | owner, operators, guardian, pause, upgrade |
/// | `MerchantTiers` | tiers, and who is in which |
/// | `Treasury` | ether in and out |
/// | `SpendingRules` | whether a merchant can be paid |
/// | `Sponsorships` | payments and refunds |
/// | `MerchantViews` | what can be asked |
/// | `MerchantAccount`, `MerchantWords` | 24 hours and 30 days of a merchant's payments |
/// | `SponsorshipIds`, `TransactionSpend`, `Payout` | ids paid once, the limit per transaction, the call to a payee |
contract SetPaymaster is Sponsorships, Treasury, MerchantViews {
    /// @dev The implementation itself can't be initialised; only a proxy can.
    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor() {
        _disableInitializers();
    }

    /// @notice Sets the owner and the treasury, the smallest deposit (0.01 ether) and three tiers: Starter, Growth, Enterprise.
    /// @dev Once, by the proxy's deployment. Reverts with `InvalidAddress` for zero.
    /// @param owner Who manages tiers, merchants, operators, funds and upgrades.
    /// @param treasury Where withdrawals go.
    function initialize(address owner, address treasury) external initializer {
        if (owner == address(0)) revert InvalidAddress();
        __Ownable_init(owner);
        __Ownable2Step_init();
        _setTreasury(treasury);
        _setMinDeposit(0.01 ether);
        // A loop over arrays, since three calls would compile to three copies of the code.
        string[3] memory names = ["Starter", "Growth", "Enterprise"];
        uint256[3] memory maxPerTx = [uint256(0.001 ether), 0.005 ether, 0.01 ether];
        for (uint256 i = 0; i < names.length; ++i) {
            _createTier(names[i], maxPerTx[i], maxPerTx[i] * 10, maxPerTx[i] * 100);
        }
    }
}
