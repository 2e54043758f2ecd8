package events

import "strings"

// FormatHuggingFace is a webhook of the Hugging Face Hub.
// https://huggingface.co/docs/hub/webhooks
const FormatHuggingFace Format = "huggingface"

const adviceHuggingFace = `copy the repository to a bucket, and let the job that copies publish {"uri":"s3://bucket/prefix/","complete":true} when it is done`

func isHuggingFace(in *input) bool {
	root := in.root("")
	return root.get("event").get("scope").present() && root.get("repo").present()
}

// decodeHuggingFace tells the changes of a repository's content from the rest.
// The Hub knows nothing of the bucket that a repository is copied to.
func decodeHuggingFace(in *input, ev *Event) error {
	ev.Kind = KindModel
	root := in.root("")
	event := root.get("event").required().object()
	repo := root.get("repo").required().object()
	scope, action := event.get("scope").required().text(), event.get("action").required().text()
	name := repo.get("name").required().text()
	if root.doc.err != nil {
		return root.doc.err
	}
	ref, commit, moved := releaseOf(root.get("updatedRefs"))
	switch {
	case repo.get("type").is("space"):
		leaveOut(ev, "the Hub's space "+quote(name))
	case scope != "repo.content" || (action != "update" && action != "create"):
		leaveOut(ev, "the Hub's event "+quote(scope+" "+action))
	case !moved:
		leaveOut(ev, "the Hub's event of "+quote(name)+" is about neither main nor a tag")
	default:
		if commit == "" {
			commit = repo.get("headSha").text()
		}
		if commit == "" {
			commit = repo.get("head_sha").text() // as the Hub's own client spells it
		}
		ev.Artifact = Artifact{Registry: HuggingFace, Name: name, Version: commit, Ref: ref}
	}
	return root.doc.err
}

// releaseOf finds main or a tag that has a new commit. Where the refs are not
// told, it may have been main.
func releaseOf(refs *node) (ref, commit string, moved bool) {
	list, ok := refs.value.([]any)
	if !ok {
		return "", "", true
	}
	for _, v := range list {
		update := newDocument("", v)
		ref, commit := update.get("ref").lenientText(), update.get("newSha").lenientText()
		if (ref == "refs/heads/main" || strings.HasPrefix(ref, "refs/tags/")) && commit != "" {
			return ref, commit, true
		}
	}
	return "", "", false
}
