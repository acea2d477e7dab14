package jobs

import "regexp"

var paramName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// paramValue is a param while it is read.
type paramValue struct {
	param    Param
	required bool
}

var paramShape = shape[paramValue]{
	what: "a param",
	fields: []field[paramValue]{
		{"description", func(d *decoder, e entry, v *paramValue) { v.param.Description, _ = d.text(e, "a text") }},
		{"pattern", func(d *decoder, e entry, v *paramValue) { v.param.Pattern, _ = d.word(e, "a regular expression") }},
		{"default", func(d *decoder, e entry, v *paramValue) {
			v.param.Default, _ = d.text(e, `a text ("" for an empty one)`)
		}},
		{"required", func(d *decoder, e entry, v *paramValue) { v.required, _ = d.boolean(e) }},
	},
}

func readParams(d *decoder, e entry, v *jobValue) {
	entries, ok := d.mapping(e, "params.", `params by name, such as day: {pattern: "[0-9]+", default: "1"}`)
	if !ok {
		return
	}
	if len(entries) > 64 {
		d.problem(e.at, "params has %d entries; expected at most 64", len(entries))
		return
	}
	for _, p := range entries {
		if !paramName.MatchString(p.key) {
			d.problem(p.at, "param name %s; expected lower-case letters, digits and \"_\", a letter first, at most 64 characters", quoted(p.key))
			continue
		}
		v.job.Params = append(v.job.Params, readParam(d, p))
	}
}

// readParam reads one param. Without a default it is required, unless it says
// required: false; it is then empty when not given.
func readParam(d *decoder, e entry) Param {
	v := paramValue{param: Param{Name: e.key}}
	s := paramShape
	s.prefix = e.path() + "."
	keys, ok := object(d, e, &s, `{pattern: "[0-9]+", default: "1"}, or {} for any value`, &v)
	if !ok {
		return v.param
	}
	if def, ok := keys.get("default"); ok && v.required {
		d.problem(def.at, "%s is required, so its default is never used; remove the one or the other", e.path())
	}
	v.param.Required = v.required || !keys.has("default") && !keys.has("required")
	if n := len(v.param.Default); n > maxParamValue {
		d.problem(e.at, "%s has a default of %d bytes; expected at most %d", e.path(), n, maxParamValue)
	}
	checkPattern(d, keys, v.param)
	return v.param
}

func checkPattern(d *decoder, keys found, p Param) {
	pattern, ok := keys.get("pattern")
	if !ok || p.Pattern == "" {
		return
	}
	whole, err := wholePattern(p.Pattern)
	if err != nil {
		d.problem(d.resolve(pattern.value), "%s %s: %v; expected a regular expression", pattern.path(), quoted(p.Pattern), err)
		return
	}
	// An empty default stands for "not given".
	if def, ok := keys.get("default"); ok && p.Default != "" && !whole.MatchString(p.Default) {
		d.problem(d.resolve(def.value), "%s %s does not match the pattern %s", def.path(), quoted(p.Default), shortened(p.Pattern))
	}
}
