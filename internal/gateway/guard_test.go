package gateway

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The vectors were computed from the algorithms that the producers document,
// with another implementation than this one.
const (
	mlflowBody = `{"entity": "model_version", "action": "created", "timestamp": "2025-10-09T08:53:20+00:00", "data": {"name": "llama", "version": "3", "source": "s3://models/llama/v3", "run_id": null, "tags": {}, "description": null}}`
	mlflowID   = "11111111-2222-3333-4444-555555555555"
	mlflowTime = "1760000000"
	mlflowSig  = "v1,rv7XuaK3Vbfzb2xH08umFqvVpQgLyJKwKn/Oa0yUZcI="

	wandbBody = `{"event_type":"LINK_ARTIFACT","s3_uri":"s3://models/llama/v3/"}`
	wandbSig  = "JHp+ZxaXAtMfLZSzRE9LLXDKnDPLF6gCb7wTmGdP+bM="
)

// reserialised is the same JSON in other bytes.
func reserialised(t *testing.T, body string) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, []byte(body)); err != nil {
		t.Fatal(err)
	}
	if out.String() == body {
		if err := json.Indent(&out, []byte(body), "", " "); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

func TestMLflowSignature(t *testing.T) {
	t.Parallel()
	sent := time.Unix(1760000000, 0)
	type delivery struct {
		id, stamp, signature, body string
		secrets                    []string
		now                        time.Time
	}
	for name, tt := range map[string]struct {
		change func(*delivery)
		ok     bool
	}{
		"the vector":                     {func(*delivery) {}, true},
		"the second of two secrets":      {func(d *delivery) { d.secrets = []string{"new", secret} }, true},
		"five minutes late":              {func(d *delivery) { d.now = sent.Add(5 * time.Minute) }, true},
		"five minutes early":             {func(d *delivery) { d.now = sent.Add(-5 * time.Minute) }, true},
		"a second more than that":        {func(d *delivery) { d.now = sent.Add(5*time.Minute + time.Second) }, false},
		"a second more ahead":            {func(d *delivery) { d.now = sent.Add(-5*time.Minute - time.Second) }, false},
		"another secret":                 {func(d *delivery) { d.secrets = []string{"test-secret-kez"} }, false},
		"no secret":                      {func(d *delivery) { d.secrets = nil }, false},
		"a body with another byte":       {func(d *delivery) { d.body = strings.Replace(d.body, "v3", "v4", 1) }, false},
		"a body that was written anew":   {func(d *delivery) { d.body = reserialised(t, d.body) }, false},
		"a body with a line's end":       {func(d *delivery) { d.body += "\n" }, false},
		"no body":                        {func(d *delivery) { d.body = "" }, false},
		"another delivery id":            {func(d *delivery) { d.id = "21111111-2222-3333-4444-555555555555" }, false},
		"another time":                   {func(d *delivery) { d.stamp = "1760000001" }, false},
		"an id that borrows of the time": {func(d *delivery) { d.id, d.stamp = d.id+".1", "760000000" }, false},
		"no id":                          {func(d *delivery) { d.id = "" }, false},
		"no time":                        {func(d *delivery) { d.stamp = "" }, false},
		"no signature":                   {func(d *delivery) { d.signature = "" }, false},
		"no version":                     {func(d *delivery) { d.signature = strings.TrimPrefix(d.signature, "v1,") }, false},
		"another version":                {func(d *delivery) { d.signature = "v2" + d.signature[2:] }, false},
		"without padding":                {func(d *delivery) { d.signature = strings.TrimSuffix(d.signature, "=") }, false},
		"twice":                          {func(d *delivery) { d.signature += " " + d.signature }, false},
		"a time that is none, signed":    {func(d *delivery) { d.stamp = "soon"; d.signature = sign(d.id, d.stamp, d.body) }, false},
		"a time beyond all, signed":      {func(d *delivery) { d.stamp = "9223372036854775807"; d.signature = sign(d.id, d.stamp, d.body) }, false},
		"a time before all, signed":      {func(d *delivery) { d.stamp = "-9223372036854775808"; d.signature = sign(d.id, d.stamp, d.body) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := delivery{mlflowID, mlflowTime, mlflowSig, mlflowBody, []string{secret}, sent}
			tt.change(&d)
			h := http.Header{}
			for name, value := range map[string]string{"X-MLflow-Delivery-Id": d.id, "X-MLflow-Timestamp": d.stamp, "X-MLflow-Signature": d.signature} {
				if value != "" {
					h.Set(name, value)
				}
			}
			err := mlflowSignature.check(d.secrets, proof{header: h, body: []byte(d.body), now: d.now})
			if (err == nil) != tt.ok {
				t.Errorf("got %v, want success: %v", err, tt.ok)
			}
		})
	}
}

func sign(id, stamp, body string) string {
	return "v1," + base64HMAC(secret, []byte(id+"."+stamp+"."+body))
}

func TestWandBSignature(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		signature, body, secret string
		ok                      bool
	}{
		"the vector":            {wandbSig, wandbBody, secret, true},
		"another secret":        {wandbSig, wandbBody, "other", false},
		"another byte":          {wandbSig, strings.Replace(wandbBody, "v3", "v4", 1), secret, false},
		"written anew":          {wandbSig, reserialised(t, wandbBody), secret, false},
		"no signature":          {"", wandbBody, secret, false},
		"hexadecimal":           {"247a7e67169702d31f2d94b3444f4b2c70ca9c32cb17a8026fbc1398674ff9b3", wandbBody, secret, false},
		"with MLflow's version": {"v1," + wandbSig, wandbBody, secret, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := wandbSignature.check([]string{"old", tt.secret, "new"}, proof{header: http.Header{"X-Wandb-Signature": {tt.signature}}, body: []byte(tt.body)})
			if (err == nil) != tt.ok {
				t.Errorf("got %v, want success: %v", err, tt.ok)
			}
		})
	}
}

func TestSecretsInHeaders(t *testing.T) {
	t.Parallel()
	basic := func(user, password string) string {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(user, password)
		return r.Header.Get("Authorization")
	}
	for name, tt := range map[string]struct {
		guard         guard
		header, value string
		ok            bool
	}{
		"a token":                         {bearer, "Authorization", "Bearer " + token, true},
		"a token, scheme in lower case":   {bearer, "Authorization", "bearer " + token, true},
		"a token of another":              {bearer, "Authorization", "Bearer " + token + "x", false},
		"part of a token":                 {bearer, "Authorization", "Bearer " + token[:5], false},
		"an empty token":                  {bearer, "Authorization", "Bearer ", false},
		"a token without its scheme":      {bearer, "Authorization", token, false},
		"a token as a password":           {bearer, "Authorization", basic("me", token), false},
		"nothing":                         {bearer, "Authorization", "", false},
		"a store's token":                 {bearerOrPassword, "Authorization", "Bearer " + token, true},
		"a store's password":              {bearerOrPassword, "Authorization", basic("sns", token), true},
		"a store's password without user": {bearerOrPassword, "Authorization", basic("", token), true},
		"a token as the user":             {bearerOrPassword, "Authorization", basic(token, ""), false},
		"Harbor's header":                 {authorization, "Authorization", token, true},
		"Harbor's header with a scheme":   {authorization, "Authorization", "Bearer " + token, false},
		"Harbor's header missing":         {authorization, "Authorization", "", false},
		"the Hub's secret":                {sharedSecret, "X-Webhook-Secret", token, true},
		"the Hub's secret of another":     {sharedSecret, "X-Webhook-Secret", strings.ToUpper(token), false},
		"the Hub's secret elsewhere":      {sharedSecret, "Authorization", token, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tt.guard.check([]string{"old", token, "new"}, proof{header: http.Header{tt.header: {tt.value}}})
			if (err == nil) != tt.ok {
				t.Errorf("got %v, want success: %v", err, tt.ok)
			}
			if err != nil && strings.Contains(err.Error(), token[:5]) {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}
