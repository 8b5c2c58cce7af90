// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

// Compiled with the rest, so that abi/ERC1967Proxy.json holds the proxy that both contracts are deployed behind.
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
