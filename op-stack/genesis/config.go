package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/ethereum/go-ethereum/common"
)

// The least that SystemConfig takes as a block's gas limit: what deposits may use of it, and a system transaction.
const minGasLimit = 21_000_000

// chainConfig is what of config/chain-config.toml makes the chain. set-sidecar reads the same file, and complains about
// what it does not know in it.
type chainConfig struct {
	Chain  chainSection  `toml:"chain"`
	Block  blockSection  `toml:"block"`
	L1     l1Section     `toml:"l1"`
	Rollup rollupSection `toml:"rollup"`
}

type chainSection struct {
	ID uint64 `toml:"id"`
}

type blockSection struct {
	Time     time.Duration `toml:"time"`
	GasLimit uint64        `toml:"gas_limit"`
}

type l1Section struct {
	ChainID uint64 `toml:"chain_id"`
}

// rollupSection is what SystemConfig on L1 holds from the start, and who owns the predeploys and is paid the fees.
type rollupSection struct {
	OperatorFeeScalar    uint32         `toml:"operator_fee_scalar"`
	OperatorFeeConstant  uint64         `toml:"operator_fee_constant"`
	MinBaseFee           uint64         `toml:"min_base_fee"`
	DAFootprintGasScalar uint16         `toml:"da_footprint_gas_scalar"`
	EIP1559Denominator   uint32         `toml:"eip1559_denominator"`
	EIP1559Elasticity    uint32         `toml:"eip1559_elasticity"`
	BaseFeeScalar        uint32         `toml:"base_fee_scalar"`
	BlobBaseFeeScalar    uint32         `toml:"blob_base_fee_scalar"`
	Owner                common.Address `toml:"owner"`
	FeeRecipient         common.Address `toml:"fee_recipient"`
}

// readConfig reads files one over the other, the last one wins, and checks what results.
func readConfig(files []string) (*chainConfig, error) {
	config := &chainConfig{}
	for _, file := range files {
		if _, err := toml.DecodeFile(file, config); err != nil {
			return nil, fmt.Errorf("cannot read `%s`: %w", file, err)
		}
	}
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("`%s` makes no chain:\n%w", files[len(files)-1], err)
	}
	return config, nil
}

// validate names every problem at once, by key.
func (config *chainConfig) validate() error {
	var problems []error
	complain := func(wrong bool, key, message string) {
		if wrong {
			problems = append(problems, fmt.Errorf("  %s %s", key, message))
		}
	}
	complain(config.Chain.ID == 0, "chain.id", "is missing; Set Chain's is 84532001")
	complain(config.L1.ChainID == 0, "l1.chain_id",
		"is missing or 0; give the id of the L1 that the chain settles on (config/devnet-op.toml does, for a devnet)")
	complain(config.L1.ChainID != 0 && config.L1.ChainID == config.Chain.ID, "l1.chain_id", "is the chain's own id; L1 has another")
	complain(config.Block.Time < time.Second || config.Block.Time%time.Second != 0, "block.time",
		"is no whole number of seconds; the OP Stack knows no other block times")
	complain(config.Block.GasLimit < minGasLimit, "block.gas_limit",
		fmt.Sprintf("is under %d, which deposits and system transactions need", minGasLimit))
	complain(config.Rollup.DAFootprintGasScalar == 0, "rollup.da_footprint_gas_scalar",
		"is missing or 0, which op-node takes for 400; say what it is")
	complain(config.Rollup.EIP1559Denominator == 0, "rollup.eip1559_denominator", "is missing or 0; 250 is usual")
	complain(config.Rollup.EIP1559Elasticity == 0, "rollup.eip1559_elasticity", "is missing or 0; 6 is usual")
	complain(config.Rollup.BaseFeeScalar == 0 && config.Rollup.BlobBaseFeeScalar == 0, "rollup.base_fee_scalar",
		"and rollup.blob_base_fee_scalar are missing or 0: nobody would pay for data on L1")
	complain(config.Rollup.Owner == common.Address{}, "rollup.owner", "is missing; it may upgrade the predeploys")
	complain(config.Rollup.FeeRecipient == common.Address{}, "rollup.fee_recipient", "is missing; the fee vaults pay out to it")
	return errors.Join(problems...)
}

// blockSeconds is the time between blocks.
func (config *chainConfig) blockSeconds() uint64 {
	return uint64(config.Block.Time / time.Second)
}
