package main

import (
	"math/big"

	"github.com/ethereum-optimism/optimism/op-service/eth"
	"github.com/ethereum/go-ethereum/params"
)

// isPublic says whether an L1 is one that op-node knows: Ethereum or one of its public testnets.
func isPublic(l1 uint64) bool {
	return eth.L1ChainConfigByChainID(eth.ChainIDFromUInt64(l1)) != nil
}

// l1ChainConfig are the rules of L1, of which op-node needs the blob fees'. A devnet's L1 has every fork of Ethereum
// from its first block.
func l1ChainConfig(l1 uint64) *params.ChainConfig {
	if public := eth.L1ChainConfigByChainID(eth.ChainIDFromUInt64(l1)); public != nil {
		return public
	}
	first, begin := big.NewInt(0), uint64(0)
	return &params.ChainConfig{
		ChainID:                 new(big.Int).SetUint64(l1),
		HomesteadBlock:          first,
		EIP150Block:             first,
		EIP155Block:             first,
		EIP158Block:             first,
		ByzantiumBlock:          first,
		ConstantinopleBlock:     first,
		PetersburgBlock:         first,
		IstanbulBlock:           first,
		MuirGlacierBlock:        first,
		BerlinBlock:             first,
		LondonBlock:             first,
		ArrowGlacierBlock:       first,
		GrayGlacierBlock:        first,
		MergeNetsplitBlock:      first,
		TerminalTotalDifficulty: first,
		ShanghaiTime:            &begin,
		CancunTime:              &begin,
		PragueTime:              &begin,
		OsakaTime:               &begin,
		BlobScheduleConfig:      params.DefaultBlobSchedule,
	}
}
