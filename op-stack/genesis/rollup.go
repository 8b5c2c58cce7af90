package main

import (
	"math/big"

	"github.com/ethereum-optimism/optimism/op-node/rollup"
	"github.com/ethereum-optimism/optimism/op-service/eth"
	"github.com/ethereum/go-ethereum/core"
)

// What every chain of the OP Stack starts with, unless it has reasons.
const (
	// L1 blocks that a batch may come late, and a channel of the time before Granite may stay open.
	sequencingWindow = 3600
	channelTimeout   = 300
	// Seconds that L2 might be ahead of its L1 origin before Fjord.
	maxSequencerDrift = 600
)

// newRollup is what op-node has to know of the chain.
func newRollup(config *chainConfig, contracts *l1Contracts, origin *l1Origin, genesis *core.Genesis) *rollup.Config {
	begin := uint64(0)
	return &rollup.Config{
		Genesis: rollup.Genesis{
			L1:           eth.BlockID{Hash: origin.Hash, Number: uint64(origin.Number)},
			L2:           eth.BlockID{Hash: genesis.ToBlock().Hash(), Number: 0},
			L2Time:       genesis.Timestamp,
			SystemConfig: config.systemConfig().inRollup(contracts.Batcher),
		},
		BlockTime:              config.blockSeconds(),
		MaxSequencerDrift:      maxSequencerDrift,
		SeqWindowSize:          sequencingWindow,
		ChannelTimeoutBedrock:  channelTimeout,
		L1ChainID:              new(big.Int).SetUint64(config.L1.ChainID),
		L2ChainID:              new(big.Int).SetUint64(config.Chain.ID),
		RegolithTime:           &begin,
		CanyonTime:             &begin,
		DeltaTime:              &begin,
		EcotoneTime:            &begin,
		FjordTime:              &begin,
		GraniteTime:            &begin,
		HoloceneTime:           &begin,
		IsthmusTime:            &begin,
		JovianTime:             &begin,
		KarstTime:              genesis.Config.KarstTime,
		BatchInboxAddress:      contracts.inbox(config),
		DepositContractAddress: contracts.OptimismPortal,
		L1SystemConfigAddress:  contracts.SystemConfig,
		ChainOpConfig:          genesis.Config.Optimism,
	}
}
