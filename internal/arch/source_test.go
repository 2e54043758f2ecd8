package arch_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// sourceFile is what the rules look at in one Go file.
type sourceFile struct {
	path    string // from the root of the repository
	pkg     string // its directory
	test    bool
	imports []string
	uses    []string // "func init" and calls such as "os.Getenv"
	methods []string // that are called, by name; and functions of packages, but for maps
}

// readSource parses every Go file of the main module. Other modules below it
// (tools), hidden directories and testdata are left out.
func readSource(root fs.FS) ([]sourceFile, error) {
	var files []sourceFile
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || name == "tools"):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		f, err := parseSource(name, src)
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

func parseSource(name string, src []byte) (sourceFile, error) {
	tree, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
	if err != nil {
		return sourceFile{}, fmt.Errorf("parse source: %w", err)
	}
	f := sourceFile{path: name, pkg: path.Dir(name), test: strings.HasSuffix(name, "_test.go")}
	for _, imp := range tree.Imports {
		value, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			return sourceFile{}, fmt.Errorf("parse import of %s: %w", name, err)
		}
		f.imports = append(f.imports, value)
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				f.uses = append(f.uses, "func init")
			}
		case *ast.CallExpr:
			if called, ok := n.Fun.(*ast.SelectorExpr); ok && !isIdent(called.X, "maps") {
				f.methods = append(f.methods, called.Sel.Name)
			}
		case *ast.SelectorExpr:
			if isIdent(n.X, "os") {
				f.uses = append(f.uses, "os."+n.Sel.Name)
			}
		}
		return true
	})
	return f, nil
}

func isIdent(x ast.Expr, name string) bool {
	ident, ok := x.(*ast.Ident)
	return ok && ident.Name == name
}
