package app

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prestage/prestage/internal/confirm"
	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/prestage"
)

var token = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// Validate says which setting is wrong, if any, as a *SettingError.
func (c *Config) Validate() error {
	for _, check := range []func() error{c.checkNATS, c.checkLOTA, c.checkNames, c.checkLimits, c.checkListeners} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) checkNATS() error {
	for _, raw := range c.NATSURL {
		u, err := url.Parse(raw)
		if err != nil || u.Hostname() == "" || !validPort(u.Port()) || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return &SettingError{"NATS_URL", masked(raw), "want nats://host:port (or tls, ws, wss), comma-separated"}
		}
	}
	if (c.NATSCert == "") != (c.NATSKey == "") {
		return &SettingError{Name: "NATS_CERT", Value: c.NATSCert, Want: "NATS_CERT and NATS_KEY go together"}
	}
	return c.checkNATSFiles()
}

// masked is a server's URL, however broken, without what may be a secret: all
// before the last @ (a user name alone is a token), and what stands in the place
// of a port and is none, as when host and port were forgotten.
func masked(raw string) string {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found {
		scheme, rest = "", raw
	} else {
		scheme += "://"
	}
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		scheme, rest = scheme+"***@", rest[at+1:]
	}
	if host, port, found := strings.Cut(rest, ":"); found && !strings.HasPrefix(host, "[") && strings.Trim(port, "0123456789/") != "" {
		rest = host + ":***"
	}
	return scheme + rest
}

// lotaHost is the one host name that CoreWeave documents for LOTA; it speaks
// plain HTTP only and is reached only from inside a cluster.
const lotaHost = "cwlota.com"

func (c *Config) checkLOTA() error {
	_, err := c.lotaURL()
	if err != nil {
		return err
	}
	if c.LOTADial != "" {
		if _, port, err := net.SplitHostPort(c.LOTADial); err != nil || port == "" || !validPort(port) {
			return &SettingError{"LOTA_DIAL", c.LOTADial, "want host:port"}
		}
	}
	return nil
}

// lotaURL is the endpoint, checked to be LOTA: on any other host the ranged
// HEAD would be answered 2xx and fill nothing.
func (c *Config) lotaURL() (*url.URL, error) {
	fail := func(want string) (*url.URL, error) {
		shown := c.LOTAEndpoint
		if strings.Contains(shown, "@") {
			shown = "" // credentials
		}
		return nil, &SettingError{"LOTA_ENDPOINT", shown, want}
	}
	u, err := url.Parse(c.LOTAEndpoint)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fail("want http://cwlota.com")
	}
	if u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return fail("want scheme and host only, no credentials, path or query")
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if host == "cwobject.com" || strings.HasSuffix(host, ".cwobject.com") {
		return fail("the primary endpoint answers the ranged HEAD but never fills the cache; use http://cwlota.com")
	}
	if !validPort(u.Port()) {
		return fail("want a port of 1 to 65535, or none")
	}
	if host == lotaHost && u.Scheme == "https" {
		return fail("LOTA speaks plain HTTP only; use http://cwlota.com")
	}
	if host != lotaHost && !c.LOTATrustEndpoint {
		return fail("not known to be LOTA, want http://cwlota.com; LOTA_TRUST_ENDPOINT=true accepts another host (the emulator, a test)")
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return fail("want a host name, an S3 client would send path-style requests to an address; name any host and set LOTA_DIAL to the address")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

func (c *Config) checkNames() error {
	if !token.MatchString(c.Cluster) {
		return &SettingError{"PRESTAGE_CLUSTER", c.Cluster, "want letters, digits, _ and - only, at most 128"}
	}
	if !token.MatchString(c.Stream) {
		return &SettingError{"PRESTAGE_STREAM", c.Stream, "want letters, digits, _ and - only, at most 128"}
	}
	if slices.Contains([]string{consumer.ResultsStream, dlq.Stream}, c.Stream) || strings.HasPrefix(c.Stream, "KV_") {
		return &SettingError{"PRESTAGE_STREAM", c.Stream, "want a stream of events, this one is for what prestage writes"}
	}
	for name, subjects := range map[string][]string{
		"PRESTAGE_MODEL_SUBJECTS": c.ModelSubjects, "PRESTAGE_CHECKPOINT_SUBJECTS": c.CheckpointSubjects,
	} {
		for _, s := range subjects {
			if !validSubject(s) {
				return &SettingError{name, s, "want NATS subjects, comma-separated, such as events.model.published"}
			}
			if own, ok := written(s); ok {
				return &SettingError{name, s, "prestage writes to " + own + " itself"}
			}
		}
	}
	model, checkpoint := filters(c.ModelSubjects), filters(c.CheckpointSubjects)
	if a, b, ok := overlap(model); ok {
		return &SettingError{
			"PRESTAGE_MODEL_SUBJECTS", strings.Join(c.ModelSubjects, ","),
			fmt.Sprintf("subjects must not overlap: %s and %s do", a, b),
		}
	}
	if a, b, ok := overlap(checkpoint); ok {
		return &SettingError{
			"PRESTAGE_CHECKPOINT_SUBJECTS", strings.Join(c.CheckpointSubjects, ","),
			fmt.Sprintf("subjects must not overlap: %s and %s do", a, b),
		}
	}
	if a, b, ok := overlap(append(model, checkpoint...)); ok {
		return &SettingError{
			"PRESTAGE_MODEL_SUBJECTS", strings.Join(c.ModelSubjects, ","),
			fmt.Sprintf("must not overlap with PRESTAGE_CHECKPOINT_SUBJECTS, an event would be delivered twice: %s and %s do", a, b),
		}
	}
	if _, err := prestage.ParseBuckets(c.Buckets); err != nil {
		return &SettingError{"PRESTAGE_BUCKETS", strings.Join(c.Buckets, ","), err.Error()}
	}
	return nil
}

func (c *Config) checkLimits() error {
	whole := func(name string, v, low, high int64) error {
		if v < low || v > high {
			return &SettingError{name, strconv.FormatInt(v, 10), fmt.Sprintf("want %d to %d", low, high)}
		}
		return nil
	}
	atLeast := func(name string, v, low time.Duration) error {
		if v < low {
			return &SettingError{name, v.String(), "want at least " + low.String()}
		}
		return nil
	}
	for _, err := range []error{
		whole("PRESTAGE_REPLICAS", int64(c.Replicas), 0, 5),
		whole("PRESTAGE_CONCURRENCY", int64(c.Concurrency), 1, 10_000),
		whole("PRESTAGE_MIN_BYTES", c.MinBytes, 0, 1<<50),
		whole("PRESTAGE_MAX_ATTEMPTS", int64(c.MaxAttempts), 1, 1000),
		atLeast("PRESTAGE_FILL_TIMEOUT", c.FillTimeout, time.Second),
		atLeast("PRESTAGE_ACK_WAIT", c.AckWait, 5*time.Second),
		atLeast("PRESTAGE_DRAIN_TIMEOUT", c.DrainTimeout, 0),
		atLeast("PRESTAGE_GIVE_UP_AFTER", c.GiveUpAfter, 0),
		atLeast("PRESTAGE_DEDUPE_TTL", c.DedupeTTL, time.Second),
	} {
		if err != nil {
			return err
		}
	}
	if !slices.Contains([]string{confirmResponse, string(confirm.Probe), string(confirm.Auto)}, c.Confirm) {
		return &SettingError{"PRESTAGE_CONFIRM", c.Confirm, "want response, probe or auto"}
	}
	return nil
}

func (c *Config) checkListeners() error {
	if err := checkHostPort(c.HTTPAddr); err != nil {
		return &SettingError{"PRESTAGE_HTTP_ADDR", c.HTTPAddr, "want host:port"}
	}
	if err := checkHostPort(c.GatewayAddr); err != nil {
		return &SettingError{"PRESTAGE_GATEWAY_ADDR", c.GatewayAddr, "want host:port"}
	}
	if (c.GatewayTLSCert == "") != (c.GatewayTLSKey == "") {
		return &SettingError{"PRESTAGE_GATEWAY_TLS_CERT", c.GatewayTLSCert, "PRESTAGE_GATEWAY_TLS_CERT and PRESTAGE_GATEWAY_TLS_KEY go together"}
	}
	if !slices.Contains([]string{"", "text", "json"}, c.LogFormat) {
		return &SettingError{"LOG_FORMAT", c.LogFormat, "want text or json"}
	}
	return nil
}

func checkHostPort(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return err
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err
}

// validPort says that port can be dialled, or is left out.
func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || (err == nil && n > 0)
}
