package main

import (
	"encoding/binary"

	"github.com/ethereum-optimism/optimism/op-service/eth"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/misc/eip1559"
	"github.com/ethereum/go-ethereum/crypto"
)

// systemConfig is what SystemConfig on L1 has to hold when the chain starts: op-node takes the first values from
// rollup.json, and every later one from SystemConfig's events.
type systemConfig struct {
	GasLimit             uint64         `json:"gasLimit"`
	BaseFeeScalar        uint32         `json:"baseFeeScalar"`
	BlobBaseFeeScalar    uint32         `json:"blobBaseFeeScalar"`
	Scalar               eth.Bytes32    `json:"scalar"`
	OperatorFeeScalar    uint32         `json:"operatorFeeScalar"`
	OperatorFeeConstant  uint64         `json:"operatorFeeConstant"`
	MinBaseFee           uint64         `json:"minBaseFee"`
	DAFootprintGasScalar uint16         `json:"daFootprintGasScalar"`
	EIP1559Denominator   uint32         `json:"eip1559Denominator"`
	EIP1559Elasticity    uint32         `json:"eip1559Elasticity"`
	Owner                common.Address `json:"owner"`
	BatchInbox           common.Address `json:"batchInbox"`
}

func (config *chainConfig) systemConfig() systemConfig {
	rollup := config.Rollup
	return systemConfig{
		GasLimit:          config.Block.GasLimit,
		BaseFeeScalar:     rollup.BaseFeeScalar,
		BlobBaseFeeScalar: rollup.BlobBaseFeeScalar,
		Scalar: eth.EncodeScalar(eth.EcotoneScalars{
			BaseFeeScalar: rollup.BaseFeeScalar, BlobBaseFeeScalar: rollup.BlobBaseFeeScalar,
		}),
		OperatorFeeScalar:    rollup.OperatorFeeScalar,
		OperatorFeeConstant:  rollup.OperatorFeeConstant,
		MinBaseFee:           rollup.MinBaseFee,
		DAFootprintGasScalar: rollup.DAFootprintGasScalar,
		EIP1559Denominator:   rollup.EIP1559Denominator,
		EIP1559Elasticity:    rollup.EIP1559Elasticity,
		Owner:                rollup.Owner,
		BatchInbox:           config.batchInbox(),
	}
}

// inRollup is the same as op-node's rollup.json has it.
func (system systemConfig) inRollup(batcher common.Address) eth.SystemConfig {
	var eip1559Params eth.Bytes8
	copy(eip1559Params[:], eip1559.EncodeHolocene1559Params(uint64(system.EIP1559Denominator), uint64(system.EIP1559Elasticity)))
	return eth.SystemConfig{
		BatcherAddr:   batcher,
		Scalar:        system.Scalar,
		GasLimit:      system.GasLimit,
		EIP1559Params: eip1559Params,
		OperatorFeeParams: eth.EncodeOperatorFeeParams(eth.OperatorFeeParams{
			Scalar: system.OperatorFeeScalar, Constant: system.OperatorFeeConstant,
		}),
		MinBaseFee:           system.MinBaseFee,
		DAFootprintGasScalar: system.DAFootprintGasScalar,
	}
}

// batchInbox is the address that the OP Stack's convention gives a chain id: a zero byte, then the first 19 bytes of
// the hash of the id as a 256-bit number.
func (config *chainConfig) batchInbox() common.Address {
	var id [32]byte
	binary.BigEndian.PutUint64(id[24:], config.Chain.ID)
	var inbox common.Address
	copy(inbox[1:], crypto.Keccak256(id[:])[:19])
	return inbox
}
