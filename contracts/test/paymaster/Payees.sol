// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SetPaymaster} from "../../src/SetPaymaster.sol";

/// @notice Takes ether, or not, as told.
contract MoodyPayee {
    bool public refuses;

    function setRefuses(bool on) external {
        refuses = on;
    }

    receive() external payable {
        require(!refuses, "not today");
    }
}

/// @notice Never returns.
contract LoopingPayee {
    receive() external payable {
        while (true) {}
    }
}

/// @notice Takes the ether and returns as much memory as its gas buys.
contract LoudPayee {
    receive() external payable {
        assembly {
            return(0, 90000)
        }
    }
}

/// @notice Refuses the ether with as large a reason as its gas buys.
contract RevertingLoudlyPayee {
    receive() external payable {
        assembly {
            revert(0, 90000)
        }
    }
}

/// @notice Wants all the gas that it is due, and uses most of it. Given less it refuses at once, so that enough is left for the
/// caller to go on as if nothing had been wrong.
contract ExactingPayee {
    mapping(uint256 => uint256) private _received;

    receive() external payable {
        require(gasleft() > 29_800, "short-changed");
        _received[gasleft()] = msg.value;
    }
}

/// @notice Logs the gas that it got.
contract MeasuringPayee {
    event Gas(uint256 left);

    receive() external payable {
        emit Gas(gasleft());
    }
}

/// @notice Being an operator too, tries to be paid again while it is being paid, and takes the ether only if that fails.
contract ReentrantPayee {
    enum Way {
        Execute,
        ExecuteOnce,
        Refund,
        Batch,
        CanSponsor
    }

    SetPaymaster private immutable _paymaster;
    Way private immutable _way;

    event Refused(bytes4 selector);

    constructor(SetPaymaster paymaster, Way way) {
        _paymaster = paymaster;
        _way = way;
    }

    receive() external payable {
        bytes memory call;
        if (_way == Way.Execute) {
            call = abi.encodeWithSignature("executeSponsorship(address,uint256,uint8)", this, 1, 0);
        } else if (_way == Way.ExecuteOnce) {
            call = abi.encodeWithSignature(
                "executeSponsorship(address,uint256,uint8,bytes32,uint64)",
                this,
                1,
                0,
                bytes32(abi.encodePacked(this, uint96(7))),
                type(uint64).max
            );
        } else if (_way == Way.Refund) {
            call = abi.encodeCall(SetPaymaster(_paymaster).refundUnusedGas, (address(this), 0));
        } else if (_way == Way.Batch) {
            address[] memory merchants = new address[](1);
            merchants[0] = address(this);
            call = abi.encodeWithSignature(
                "batchExecuteSponsorship(address[],uint256[],uint8[])", merchants, new uint256[](1), new uint8[](1)
            );
        } else {
            (bool sponsorable, string memory reason) = _paymaster.canSponsor(address(this), 1);
            require(!sponsorable && keccak256(bytes(reason)) == keccak256("Payment in progress"), "may be paid again");
            emit Refused(bytes4("view"));
            return;
        }
        (bool ok, bytes memory answer) = address(_paymaster).call(call);
        require(!ok, "re-entered");
        emit Refused(bytes4(answer));
    }
}

/// @notice An operator that makes several calls within one transaction.
contract MultiCaller {
    function run(SetPaymaster paymaster, bytes[] calldata calls) external returns (bytes memory failure) {
        for (uint256 i = 0; i < calls.length; ++i) {
            (bool ok, bytes memory answer) = address(paymaster).call(calls[i]);
            if (!ok) return answer;
        }
    }
}
