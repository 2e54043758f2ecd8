package docscheck

import (
	_ "embed"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// Block is a fenced block of a document.
type Block struct {
	// ID is the document's path from the root, "#" and the anchor of the heading
	// above it, with "/2" and so on behind the second below the same heading.
	ID   string
	Lang string // of the fence, "" for none
	Line int    // of the fence
	Text string
}

var blockOrHeading = regexp.MustCompile("(?ms)^```([a-z]*)[^\n]*\n(.*?)^```[ \t]*$|^#{1,6} +([^\n]+)$")

// Blocks finds the fenced blocks of the document at path.
func Blocks(path, text string) []Block {
	var out []Block
	heading, n := "", 0
	for _, at := range blockOrHeading.FindAllStringSubmatchIndex(text, -1) {
		if at[6] >= 0 {
			heading, n = Anchor(text[at[6]:at[7]]), 0
			continue
		}
		n++
		id := path + "#" + heading
		if n > 1 {
			id += fmt.Sprintf("/%d", n)
		}
		out = append(out, Block{
			ID: id, Lang: text[at[2]:at[3]], Line: 1 + strings.Count(text[:at[0]], "\n"), Text: text[at[4]:at[5]],
		})
	}
	return out
}

// Anchor is the fragment that a forge gives a heading.
func Anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// Example is a block that a reader may paste, and what is done with it in CI.
type Example struct {
	ID  string
	How string // Run or Read
	Why string // it is only read
}

// What is done with an example. All are read: a shell's are parsed by sh -n, the
// others as what they are.
const (
	Run  = "run"  // as it stands, by integration's TestExamples
	Read = "read" // and not run, for the reason given
)

//go:embed examples.txt
var list string

// Examples are all examples of the documents.
func Examples() ([]Example, error) { return parseExamples(list) }

func parseExamples(text string) ([]Example, error) {
	var out []Example
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		how, rest, _ := strings.Cut(line, " ")
		id, why, _ := strings.Cut(strings.TrimSpace(rest), " ")
		e := Example{ID: id, How: how, Why: strings.TrimSpace(why)}
		switch {
		case how != Run && how != Read, id == "":
			return nil, fmt.Errorf("%q: want %s or %s, and an example", line, Run, Read)
		case (how == Read) != (e.Why != ""):
			return nil, fmt.Errorf("%q: a reason belongs to what is not run, and to nothing else", line)
		case seen[id]:
			return nil, fmt.Errorf("%s is listed twice", id)
		}
		seen[id] = true
		out = append(out, e)
	}
	return out, nil
}
