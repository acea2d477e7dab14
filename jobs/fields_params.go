package jobs

import (
	"regexp"
	"slices"
)

var paramName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// paramValue is a param while it is read.
type paramValue struct {
	param    Param
	enum     []entry // where its values stand
	required bool
}

var paramShape = shape[paramValue]{
	what: "a param",
	fields: []field[paramValue]{
		{"description", func(d *decoder, e entry, v *paramValue) { v.param.Description, _ = d.text(e, "a text") }},
		{"pattern", func(d *decoder, e entry, v *paramValue) { v.param.Pattern, _ = d.word(e, "a regular expression") }},
		{"type", func(d *decoder, e entry, v *paramValue) {
			if s, ok := d.oneOf(e, string(ParamString), string(ParamInteger), string(ParamNumber), string(ParamBoolean)); ok {
				v.param.Type = ParamType(s)
			}
		}},
		{"enum", readEnum},
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
	v := paramValue{param: Param{Name: e.key, Type: ParamString}}
	keys, ok := object(d, e, paramShape.under(e), `{pattern: "[0-9]+", default: "1"}, or {} for any value`, &v)
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
	if checkPattern(d, keys, v.param) {
		checkValues(d, keys, v)
	}
	return v.param
}

// maxEnum is more values than anybody chooses from.
const maxEnum = 256

func readEnum(d *decoder, e entry, v *paramValue) {
	const expected = "a list of the allowed values, such as [low, high]"
	items, ok := d.list(e, expected)
	switch {
	case !ok:
		return
	case len(items) == 0:
		d.problem(e.value, "%s is an empty list; expected %s", e.path(), expected)
	case len(items) > maxEnum:
		d.problem(e.at, "%s has %d entries; expected at most %d", e.path(), len(items), maxEnum)
		return
	}
	for _, item := range items {
		value, ok := d.word(item, "a text")
		if !ok {
			continue
		}
		if slices.Contains(v.param.Enum, value) {
			d.problem(d.resolve(item.value), "%s: %s is in the list twice", item.path(), quoted(value))
			continue
		}
		v.param.Enum = append(v.param.Enum, value)
		v.enum = append(v.enum, item)
	}
}

// checkPattern reports whether the values can be compared with the pattern.
func checkPattern(d *decoder, keys found, p Param) bool {
	pattern, ok := keys.get("pattern")
	if !ok || p.Pattern == "" {
		return true
	}
	if _, err := wholePattern(p.Pattern); err != nil {
		d.problem(d.resolve(pattern.value), "%s %s: %v; expected a regular expression", pattern.path(), quoted(p.Pattern), err)
		return false
	}
	return true
}

// checkValues sees to it that the values the file gives are ones that a trigger
// could give too.
func checkValues(d *decoder, keys found, v paramValue) {
	each := v.param
	each.Enum = nil
	for i, value := range v.param.Enum {
		if why := each.mismatch(value); why != "" {
			d.problem(d.resolve(v.enum[i].value), "%s %s %s", v.enum[i].path(), quoted(value), why)
		}
	}
	// An empty default stands for "not given".
	if def, ok := keys.get("default"); ok && v.param.Default != "" {
		if why := v.param.mismatch(v.param.Default); why != "" {
			d.problem(d.resolve(def.value), "%s %s %s", def.path(), quoted(v.param.Default), why)
		}
	}
}
