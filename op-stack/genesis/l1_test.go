package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rpc"
)

// startAnvil starts an L1 on a free port for as long as the test runs.
func startAnvil(t *testing.T, chainID string) (string, *rpc.Client) {
	t.Helper()
	program := os.Getenv("SET_ANVIL")
	if program == "" {
		program = "../../contracts/node_modules/.bin/anvil"
	}
	anvil := exec.Command(program, "--port", "0", "--chain-id", chainID)
	output, err := anvil.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := anvil.Start(); err != nil {
		t.Fatalf("anvil does not start (`npm --prefix contracts ci` installs it, SET_ANVIL names another): %v", err)
	}
	t.Cleanup(func() {
		_ = anvil.Process.Kill()
		_ = anvil.Wait()
	})
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if _, address, found := strings.Cut(lines.Text(), "Listening on "); found {
			url := "http://" + strings.TrimSpace(address)
			client, err := rpc.Dial(url)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			return url, client
		}
	}
	t.Fatal("anvil ended without an address")
	return "", nil
}

// place puts a contract on L1 that answers each getter with a word, and any other call with a failure.
func place(t *testing.T, l1 *rpc.Client, at common.Address, answers map[string]common.Hash) {
	t.Helper()
	// Selector of the call: the first word of its data, shifted right by 224 bits.
	code := []byte{0x5f, 0x35, 0x60, 0xe0, 0x1c}
	for getter, word := range answers {
		// If it is another selector, jump over: push the word, store it at 0, return 32 bytes.
		code = append(code, 0x80, 0x63)
		code = append(code, crypto.Keccak256([]byte(getter))[:4]...)
		code = append(code, 0x14, 0x15, 0x61)
		code = binary.BigEndian.AppendUint16(code, uint16(len(code)+2+1+33+6))
		code = append(code, 0x57, 0x7f)
		code = append(code, word[:]...)
		code = append(code, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3, 0x5b)
	}
	code = append(code, 0x5f, 0x5f, 0xfd)
	if err := l1.Call(nil, "anvil_setCode", at, hexutil.Bytes(code)); err != nil {
		t.Fatal(err)
	}
}

func word(number uint64) common.Hash {
	var hash common.Hash
	binary.BigEndian.PutUint64(hash[24:], number)
	return hash
}

func TestOnlyTheChainsOwnL1IsTaken(t *testing.T) {
	config := devnet(t)
	url, _ := startAnvil(t, "901")
	_, err := readOrigin(context.Background(), url, config, testContracts)
	if err == nil || !strings.Contains(err.Error(), "is of chain 901, and l1.chain_id says 900") {
		t.Errorf("got %v", err)
	}
}

func TestSystemConfigHasToSayWhatTheConfigurationSays(t *testing.T) {
	config := devnet(t)
	system := config.systemConfig()
	url, l1 := startAnvil(t, "900")
	answers := map[string]common.Hash{
		"batcherHash()":       common.BytesToHash(testContracts.Batcher[:]),
		"gasLimit()":          word(system.GasLimit),
		"basefeeScalar()":     word(uint64(system.BaseFeeScalar)),
		"blobbasefeeScalar()": word(uint64(system.BlobBaseFeeScalar)),
	}
	read := func() (*l1Origin, error) {
		return readOrigin(context.Background(), url, config, testContracts)
	}

	if _, err := read(); err == nil || !strings.Contains(err.Error(), "no contract") {
		t.Errorf("without a contract: %v", err)
	}
	place(t, l1, testContracts.SystemConfig, answers)
	origin, err := read()
	if err != nil {
		t.Fatalf("an older SystemConfig, without the getters of later forks: %v", err)
	}
	if origin.Hash == (common.Hash{}) || origin.Time == 0 {
		t.Errorf("no block to start from: %+v", origin)
	}
	answers["minBaseFee()"] = word(system.MinBaseFee + 1)
	answers["gasLimit()"] = word(60_000_000)
	place(t, l1, testContracts.SystemConfig, answers)
	_, err = read()
	for _, key := range []string{"gasLimit() is 60000000, and block.gas_limit is 30000000", "rollup.min_base_fee"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s is not named: %v", key, err)
		}
	}
	delete(answers, "batcherHash()")
	place(t, l1, testContracts.SystemConfig, answers)
	if _, err := read(); err == nil || !strings.Contains(err.Error(), "it is no SystemConfig") {
		t.Errorf("another contract: %v", err)
	}
}
