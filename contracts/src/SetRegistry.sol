// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {RegistryAdmin} from "./registry/RegistryAdmin.sol";
import {RegistryCommit} from "./registry/RegistryCommit.sol";
import {RegistryViews} from "./registry/RegistryViews.sol";

/// @title SetRegistry
/// @notice The registry of Set Chain's commitments, to be used behind an ERC-1967 proxy (UUPS).
/// @dev `ISetRegistry` documents every member; `RegistryStorage` holds every slot.
contract SetRegistry is RegistryCommit, RegistryAdmin, RegistryViews {}
