// Command pod-security judges the pod templates of StatefulSets by Pod Security "restricted", with the very checks that
// the API server runs at admission.
//
// It reads a JSON list of API objects from standard input and writes {"evaluated": [names], "violations": [...]}.
// Fields that the API does not know are an error.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

type violation struct {
	Object string `json:"object"`
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}

type report struct {
	Evaluated  []string    `json:"evaluated"`
	Violations []violation `json:"violations"`
}

func main() {
	found, err := judge(os.Stdin)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func judge(input io.Reader) (report, error) {
	found := report{Evaluated: []string{}, Violations: []violation{}}
	var objects []json.RawMessage
	if err := json.NewDecoder(input).Decode(&objects); err != nil {
		return found, fmt.Errorf("a JSON list of objects is expected: %w", err)
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return found, err
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, raw := range objects {
		set, err := statefulSet(raw)
		if err != nil {
			return found, err
		}
		if set == nil {
			continue
		}
		found.Evaluated = append(found.Evaluated, set.Name)
		template := set.Spec.Template
		for _, result := range evaluator.EvaluatePod(restricted, &template.ObjectMeta, &template.Spec) {
			if !result.Allowed {
				found.Violations = append(found.Violations, violation{set.Name, result.ForbiddenReason, result.ForbiddenDetail})
			}
		}
	}
	return found, nil
}

// statefulSet gives nothing for an object of another kind.
func statefulSet(raw json.RawMessage) (*appsv1.StatefulSet, error) {
	var kind struct{ Kind string }
	if err := json.Unmarshal(raw, &kind); err != nil {
		return nil, err
	}
	if kind.Kind != "StatefulSet" {
		return nil, nil
	}
	set := &appsv1.StatefulSet{}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(set); err != nil {
		return nil, fmt.Errorf("StatefulSet: %w", err)
	}
	return set, nil
}
