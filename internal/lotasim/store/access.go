package store

import (
	"crypto/rand"
	"encoding/json"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3api/middlewares"
)

// accounts are the keys that may sign. The server's root is none of the users:
// it is the other customer, whose secret nobody knows.
type accounts struct {
	auth.IAMService // refuses to change anything
	root            middlewares.RootUserConfig
	users           map[string]auth.Account
}

// otherCustomer is the access key that owns foreign buckets, the same after a
// restart.
const otherCustomer = "another-customer"

func newAccounts(o Options) *accounts {
	a := &accounts{
		root: middlewares.RootUserConfig{Access: otherCustomer, Secret: rand.Text()},
		users: map[string]auth.Account{
			o.AccessKey: {Access: o.AccessKey, Secret: o.SecretKey, Role: auth.RoleUserPlus}, // may make buckets, and owns them
		},
	}
	if o.ListOnlyKey != "" {
		a.users[o.ListOnlyKey] = auth.Account{Access: o.ListOnlyKey, Secret: o.SecretKey, Role: auth.RoleUser}
	}
	a.IAMService = auth.NewIAMServiceSingle(auth.Account{Access: a.root.Access, Secret: a.root.Secret, Role: auth.RoleAdmin})
	return a
}

// GetUserAccount finds the account of an access key.
func (a *accounts) GetUserAccount(access string) (auth.Account, error) {
	if user, ok := a.users[access]; ok {
		return user, nil
	}
	return a.IAMService.GetUserAccount(access)
}

// ResolveAccounts returns those of the access keys that nobody has.
func (a *accounts) ResolveAccounts(access []string) ([]string, error) {
	var unknown []string
	for _, key := range access {
		if _, ok := a.users[key]; !ok {
			unknown = append(unknown, key)
		}
	}
	return unknown, nil
}

// statement is one of a bucket's policy.
type statement struct {
	Effect    string
	Principal map[string]string
	Action    string
	Resource  []string
}

// policy lets the owner do all and the second key list. A bucket with a policy
// goes by that alone, so the owner is in it.
func policy(o Options, bucket string) (string, error) {
	arn := "arn:aws:s3:::" + bucket
	text, err := json.Marshal(map[string]any{
		"Version": "2012-10-17",
		"Statement": []statement{
			{"Allow", map[string]string{"AWS": o.AccessKey}, "s3:*", []string{arn, arn + "/*"}},
			{"Allow", map[string]string{"AWS": o.ListOnlyKey}, "s3:ListBucket", []string{arn}},
		},
	})
	return string(text), err
}
