package deployment

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	flagName     = regexp.MustCompile(`--[a-z0-9.-]+`)
	variableName = regexp.MustCompile(`(?m)^(?:# )?([A-Z][A-Z0-9_]+)=`)
)

// Every flag and variable that units, compose file and settings use is one that the program says it has.
func TestEveryFlagIsOneOfTheProgram(t *testing.T) {
	root := installed(t, chain)
	services := compose(t, chain).Services
	for _, program := range programs[:4] {
		output, err := exec.Command("../bin/"+program, "--help").Output()
		if err != nil {
			t.Fatal(err)
		}
		help := string(output)
		used := flagName.FindAllString(strings.Join(settings(t, root, program)["ExecStart"], " "), -1)
		used = append(used, flagName.FindAllString(strings.Join(services[program].Command, " "), -1)...)
		if len(used) < 5 {
			t.Errorf("%s uses %v only", program, used)
		}
		for _, flag := range used {
			if !regexp.MustCompile(regexp.QuoteMeta(flag) + `[ ,]`).MatchString(help) {
				t.Errorf("%s has no %s", program, flag)
			}
		}
		file := filepath.Join("../networks", chain, program+".env")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, variable := range variableName.FindAllStringSubmatch(string(text), -1) {
			if !regexp.MustCompile(`\$` + variable[1] + `[,)]`).MatchString(help) {
				t.Errorf("%s: %s reads no %s", file, program, variable[1])
			}
		}
	}
}

// The commands of op-geth's unit, as systemd would run them, make a node that answers, and whose engine port asks for
// the JWT. A second start on the same data works, another genesis is refused.
func TestTheUnitOfOpGethRuns(t *testing.T) {
	root := installed(t, chain)
	state, credentials := t.TempDir(), filepath.Join(root, "etc/set-chain", chain, "secrets")
	genesis := filepath.Join(root, "etc/set-chain", chain, "genesis.json")
	write := func(gasLimit string) {
		text, err := json.Marshal(map[string]any{
			"config": map[string]any{
				"chainId": 84532001, "terminalTotalDifficulty": 0,
				"bedrockBlock": 0, "optimism": map[string]int{"eip1559Elasticity": 6, "eip1559Denominator": 50},
			},
			"difficulty": "0x0", "gasLimit": gasLimit, "alloc": map[string]any{},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(genesis, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("0x1c9c380")
	unit := settings(t, root, "op-geth")
	environment := append(os.Environ(), fileVariables(t, filepath.Join(root, "etc/set-chain", chain, "op-geth.env"))...)
	ports := map[string]string{}
	for _, name := range []string{"GETH_HTTP_PORT", "GETH_WS_PORT", "GETH_AUTHRPC_PORT", "GETH_METRICS_PORT", "GETH_PORT"} {
		ports[name] = freePort(t)
		environment = append(environment, name+"="+ports[name])
	}
	command := func(ctx context.Context, key string) *exec.Cmd {
		text := strings.Join(unit[key], "\n")
		text = strings.NewReplacer("%S", state, "%d", credentials, "%i", chain, "/etc/", root+"/etc/",
			"/usr/local/", root+"/usr/local/", "${GETH_HTTP_PORT}", ports["GETH_HTTP_PORT"]).Replace(text)
		made := exec.CommandContext(ctx, "/bin/sh", "-c", "exec "+text)
		made.Env = environment
		return made
	}
	for range 2 {
		if output, err := command(t.Context(), "ExecStartPre").CombinedOutput(); err != nil {
			t.Fatalf("ExecStartPre: %v\n%s", err, output)
		}
		ctx, stop := context.WithTimeout(t.Context(), 4*time.Minute)
		node := command(ctx, "ExecStart")
		var log strings.Builder
		node.Stderr = &log
		if err := node.Start(); err != nil {
			t.Fatal(err)
		}
		if output, err := command(ctx, "ExecStartPost").CombinedOutput(); err != nil {
			t.Errorf("ExecStartPost: %v\n%s\n%s", err, output, log.String())
		}
		for port, answer := range map[string]string{"GETH_HTTP_PORT": "200", "GETH_AUTHRPC_PORT": "401"} {
			status, err := exec.CommandContext(ctx, "curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}",
				"--header", "content-type: application/json", "--data", "{}", "http://127.0.0.1:"+ports[port]).Output()
			if string(status) != answer {
				t.Errorf("%s answers %s (%v), not %s", port, status, err, answer)
			}
		}
		if err := node.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := node.Wait(); err != nil {
			t.Errorf("op-geth ends with %v\n%s", err, log.String())
		}
		stop()
	}
	write("0x2625a00")
	if output, err := command(t.Context(), "ExecStartPre").CombinedOutput(); err == nil {
		t.Errorf("another chain's genesis is taken:\n%s", output)
	}
}

// fileVariables are those that systemd reads from an environment file.
func fileVariables(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return slices.DeleteFunc(lines, func(line string) bool { return line == "" || strings.HasPrefix(line, "#") })
}

// freePort is a port that the system gives to nobody else for as long as the test runs: it is bound, and nobody listens
// there. A server that reuses addresses, as every one in Go does, can.
func freePort(t *testing.T) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err := syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	address, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(address.(*syscall.SockaddrInet4).Port)
}
