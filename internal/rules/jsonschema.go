package rules

import "encoding/json"

// JSONSchema is the file's shape in JSON Schema 2020-12, for editors. What only
// code can check, such as globs, it leaves to Load.
func JSONSchema() ([]byte, error) {
	s := file.schema()
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "The rules file of prestage"
	out, err := json.MarshalIndent(s, "", "  ")
	return append(out, '\n'), err
}

func (s *shape) schema() map[string]any {
	out := map[string]any{}
	if s.doc != "" {
		out["description"] = s.doc
	}
	switch {
	case s.fields != nil:
		properties, need := map[string]any{}, []string{}
		for _, f := range s.fields {
			properties[f.key] = f.schema()
			if f.need {
				need = append(need, f.key)
			}
		}
		out["type"], out["properties"], out["required"], out["additionalProperties"] = "object", properties, need, false
	case s.item != nil:
		out["type"], out["items"], out["maxItems"] = "array", s.item.schema(), maxItems
	case s.most > 0:
		out["type"], out["minimum"], out["maximum"] = "integer", 0, s.most
	case s.flag:
		out["type"] = "boolean"
	default:
		out["type"] = "string"
		if s.words != nil {
			out["enum"] = s.words
		}
	}
	return out
}
