package events

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzJSON compares the reader with encoding/json: what it accepts is JSON, and
// means the same.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-2.5e3,"x\u00e9\ud83d\ude80",true,null,{}],"b":{"c":""}}`,
		`"\ud83d"`, `"\ude80\ud83d"`, `"\\ud83d"`, `"\ud83d\\ude80"`, `{"a":1,"a":2}`, `[1,]`, `{"a":1,}`, `{1:2}`, `[1 2]`,
		` 0 `, `01`, `"`, `[`, `{"a"`, `nul`, "\"\x00\"", `"\u0000"`, `{"\ud800":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseJSON(data)
		if err != nil {
			return
		}
		var want any
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		if err := dec.Decode(&want); err != nil || !json.Valid(data) {
			t.Fatalf("accepted %q, which is no JSON: %v", data, err)
		}
		if !reflect.DeepEqual(generic(got), want) {
			t.Errorf("%q reads as %v, want %v", data, got, want)
		}
	})
}

func generic(v any) any {
	switch v := v.(type) {
	case jsonObject:
		o := map[string]any{}
		for _, m := range v {
			o[m.name] = generic(m.value)
		}
		return o
	case []any:
		for i := range v {
			v[i] = generic(v[i])
		}
	}
	return v
}

func TestLoneSurrogate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		literal string
		want    bool
	}{
		{`"plain"`, false},
		{`"\n\t\"\\"`, false},
		{`"\u00e9"`, false},
		{`"\ufffd"`, false}, // the replacement character itself is a character
		{`"\ud83d\ude80"`, false},
		{`"\uD83D\uDE80x\ud83d\ude80"`, false},
		{`"\\ud83d"`, false}, // an escaped backslash
		{`"\ud83d"`, true},
		{`"\ude80"`, true},
		{`"\ud83dx"`, true},
		{`"\ud83d\n"`, true},
		{`"\ud83d\u0041"`, true},
		{`"\ud83d\ud83d\ude80"`, true},
		{`"\ude80\ud83d"`, true},
		{`"\ud83d\\ude80"`, true},
		{`"\ud83d\ude80\ud83d"`, true},
	}
	for _, tt := range tests {
		if got := loneSurrogate([]byte(tt.literal)); got != tt.want {
			t.Errorf("loneSurrogate(%s) = %t, want %t", tt.literal, got, tt.want)
		}
		// The same by its effect: encoding/json puts U+FFFD there.
		if _, err := parseJSON([]byte(tt.literal)); (err != nil) != tt.want {
			t.Errorf("parseJSON(%s): %v, want an error: %t", tt.literal, err, tt.want)
		}
	}
}
