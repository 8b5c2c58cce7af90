package main

import (
	"fmt"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/ethereum/go-ethereum/common"
)

// facts is what of chain-config.toml makes the chain. set-sidecar reads the same file, and complains about what it does
// not know in it.
type facts struct {
	Chain struct {
		ID   uint64 `toml:"id"`
		Name string `toml:"name"`
	} `toml:"chain"`
	Block struct {
		Time     time.Duration `toml:"time"`
		GasLimit uint64        `toml:"gas_limit"`
	} `toml:"block"`
	L1 struct {
		ChainID uint64 `toml:"chain_id"`
		Name    string `toml:"name"`
	} `toml:"l1"`
	Rollup struct {
		OperatorFeeScalar    uint32         `toml:"operator_fee_scalar"`
		OperatorFeeConstant  uint64         `toml:"operator_fee_constant"`
		MinBaseFee           uint64         `toml:"min_base_fee"`
		DAFootprintGasScalar uint16         `toml:"da_footprint_gas_scalar"`
		EIP1559Denominator   uint64         `toml:"eip1559_denominator"`
		EIP1559Elasticity    uint64         `toml:"eip1559_elasticity"`
		BaseFeeScalar        uint32         `toml:"base_fee_scalar"`
		BlobBaseFeeScalar    uint32         `toml:"blob_base_fee_scalar"`
		Owner                common.Address `toml:"owner"`
		FeeRecipient         common.Address `toml:"fee_recipient"`
	} `toml:"rollup"`
}

func readFacts(file string) (*facts, error) {
	read := &facts{}
	if _, err := toml.DecodeFile(file, read); err != nil {
		return nil, fmt.Errorf("cannot read `%s`: %w", file, err)
	}
	if read.Block.Time < time.Second || read.Block.Time%time.Second != 0 {
		return nil, fmt.Errorf("`%s`: block.time is no whole number of seconds; the OP Stack knows no other block times", file)
	}
	return read, nil
}
