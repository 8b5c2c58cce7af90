package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"math/big"
	"text/template"

	"github.com/ethereum-optimism/optimism/op-deployer/pkg/deployer/standard"
	"github.com/ethereum/go-ethereum/common"
)

//go:embed intent.toml.tmpl
var intentText string

var intentTemplate = template.Must(template.New("intent").Parse(intentText))

// intent is the text of intent.toml, with the standard OP Stack contracts of the L1 named.
func (facts *facts) intent() ([]byte, error) {
	manager, err := standard.OPCMImplAddressFor(facts.L1.ChainID, standard.CurrentTag)
	if err != nil {
		return nil, fmt.Errorf("l1.chain_id: no standard OP Stack contracts are known on it: %w", err)
	}
	var text bytes.Buffer
	err = intentTemplate.Execute(&text, map[string]any{
		"Facts":     facts,
		"ID":        common.BigToHash(new(big.Int).SetUint64(facts.Chain.ID)),
		"Seconds":   uint64(facts.Block.Time.Seconds()),
		"Manager":   manager,
		"Contracts": standard.CurrentTag,
		// OPCM gives every SystemConfig these two at its deployment.
		"ScalarsSet": facts.Rollup.BaseFeeScalar == standard.BasefeeScalar &&
			facts.Rollup.BlobBaseFeeScalar == standard.BlobBaseFeeScalar,
	})
	return text.Bytes(), err
}
