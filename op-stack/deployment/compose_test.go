// Package deployment tests what operators run: the compose file, the units, and the settings that both take.
package deployment

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// service is what of a container the tests look at, as `docker-compose config` prints it.
type service struct {
	User        string
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
	Restart     string
	NetworkMode string `yaml:"network_mode"`
	Privileged  bool
	Command     []string
	Healthcheck struct{ Test []string }
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Ports       []port
	Volumes     []string
	Environment map[string]string
	Secrets     []struct{ Source string }
}

// port is a published one: where on this machine, and which of the container's.
type port struct{ at, target string }

// UnmarshalYAML reads both spellings: "ADDRESS:PUBLISHED:TARGET/PROTOCOL", and a table.
func (port *port) UnmarshalYAML(node *yaml.Node) error {
	var table struct{ Published, Target, Protocol string }
	if node.Kind == yaml.MappingNode {
		if err := node.Decode(&table); err != nil {
			return err
		}
		port.at, port.target = table.Published+"/"+table.Protocol, table.Target
		return nil
	}
	mapping, protocol, _ := strings.Cut(node.Value, "/")
	split := strings.LastIndex(mapping, ":")
	port.at, port.target = mapping[:split]+"/"+protocol, mapping[split+1:]
	return nil
}

type composition struct {
	Services map[string]service
	Networks map[string]struct{ Internal bool }
}

// compose has docker-compose read the file for a chain of that name, with an operator's folder beside it.
func compose(t *testing.T, chain string, edits ...string) composition {
	t.Helper()
	program, err := exec.LookPath("docker-compose")
	if err != nil {
		t.Skip("docker-compose is not installed: apt-get install docker-compose")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../networks/sepolia")); err != nil {
		t.Fatal(err)
	}
	secrets := filepath.Join(dir, "secrets")
	if err := os.Mkdir(secrets, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"jwt", "sequencer-api-key", "sender", "sender-password", "op-node.env", "op-batcher.env", "op-proposer.env",
	} {
		if err := os.WriteFile(filepath.Join(secrets, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "compose.env")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	edits = append(edits, "set-sepolia", "set-"+chain, "/etc/set-chain/sepolia", dir)
	if err := os.WriteFile(file, []byte(strings.NewReplacer(edits...).Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "--file", "../compose.yaml", "--env-file", file, "--profile", "l1", "config")
	var words strings.Builder
	command.Stderr = &words
	output, err := command.Output()
	if err != nil || words.Len() > 0 {
		t.Fatalf("docker-compose config: %v\n%s", err, words.String())
	}
	var read composition
	if err := yaml.Unmarshal(output, &read); err != nil {
		t.Fatal(err)
	}
	return read
}

// Each container can do what it is for, and nothing else.
func TestEachContainerIsHardened(t *testing.T) {
	users := map[string]string{}
	for name, service := range compose(t, "sepolia").Services {
		uid, _, _ := strings.Cut(service.User, ":")
		if uid == "" || uid == "0" {
			t.Errorf("%s runs as %q", name, service.User)
		}
		if other, taken := users[uid]; taken && !strings.HasPrefix(name, other) && !strings.HasPrefix(other, name) {
			t.Errorf("%s and %s are the same user", name, other)
		}
		users[uid] = name
		if !service.ReadOnly || service.Privileged || !slices.Equal(service.CapDrop, []string{"ALL"}) ||
			!slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s is not hardened: %+v", name, service)
		}
		if name == "op-geth-init" {
			continue
		}
		if service.Restart != "unless-stopped" || len(service.Healthcheck.Test) == 0 {
			t.Errorf("%s is not kept running and healthy: %+v", name, service)
		}
	}
}

// The JWT decides who makes blocks: op-geth and op-node have it, and nothing that is published asks for it.
func TestTheEngineStaysInside(t *testing.T) {
	composition := compose(t, "sepolia")
	if !composition.Networks["engine"].Internal {
		t.Error("the engine's network reaches outside")
	}
	for name, service := range composition.Services {
		holds := slices.ContainsFunc(service.Secrets, func(secret struct{ Source string }) bool {
			return secret.Source == "jwt"
		})
		if engine := name == "op-geth" || name == "op-node"; holds != engine {
			t.Errorf("%s has the JWT: %v", name, holds)
		}
		for _, port := range service.Ports {
			if port.target == "8551" {
				t.Errorf("%s publishes the engine port: %+v", name, port)
			}
			if p2p := port.target == "9222"; !p2p && !strings.HasPrefix(port.at, "127.0.0.1:") {
				t.Errorf("%s publishes %+v to other machines", name, port)
			}
		}
		for _, volume := range service.Volumes {
			if strings.Contains(volume, "/etc/set-chain") && !strings.HasSuffix(volume, ":ro") {
				t.Errorf("%s may write settings: %s", name, volume)
			}
		}
	}
}

// Each begins after the one that it asks has answered.
func TestTheyStartInOrder(t *testing.T) {
	services := compose(t, "sepolia").Services
	for _, wait := range []struct{ who, forWhom, condition string }{
		{"op-geth", "op-geth-init", "service_completed_successfully"},
		{"op-node", "op-geth", "service_healthy"},
		{"op-batcher", "op-node", "service_healthy"},
		{"op-proposer", "op-node", "service_healthy"},
		{"set-sidecar", "op-geth", "service_healthy"},
		{"set-sidecar", "op-node", "service_healthy"},
	} {
		if condition := services[wait.who].DependsOn[wait.forWhom].Condition; condition != wait.condition {
			t.Errorf("%s waits for %s: %q", wait.who, wait.forWhom, condition)
		}
	}
}

// A second chain on the same machine takes no port of the first one's.
func TestChainsRunBesideOneAnother(t *testing.T) {
	published := func(composition composition) []string {
		var at []string
		for _, service := range composition.Services {
			for _, port := range service.Ports {
				at = append(at, port.at)
			}
		}
		return at
	}
	first := published(compose(t, "one"))
	second := published(compose(t, "two", "=8545", "=9845", "=8546", "=9846", "=9545", "=9845", "=9222", "=9322",
		"=8645", "=9945", "=8646", "=9946"))
	for _, at := range first {
		if slices.Contains(second, at) {
			t.Errorf("both publish %s", at)
		}
	}
	if len(first) != 7 || len(second) != 7 {
		t.Errorf("published: %v and %v", first, second)
	}
}
