package jobs

import (
	"reflect"
	"strings"
	"time"
)

// compact moves everything that a schedule keeps to fresh memory. The decoder leaves
// it scattered among the nodes of the YAML tree, where it holds whole pages of garbage:
// of a file with ten thousand full jobs 14 MiB are alive, spread over 80.
func compact(s *Schedule) {
	specs := map[*Spec]*Spec{}
	for _, j := range s.Jobs {
		for _, spec := range j.Specs {
			if specs[spec] == nil {
				moved := *spec // its zone and its calendars are shared by all and stay
				moved.expr = strings.Clone(spec.expr)
				specs[spec] = &moved
			}
		}
	}
	fresh := make([]Job, len(s.Jobs))
	inHalves(len(fresh), func(_, from, to int) {
		m := mover{specs: specs, fields: map[reflect.Type][]int{}}
		for i := from; i < to; i++ {
			fresh[i] = *s.Jobs[i]
			m.relocate(reflect.ValueOf(&fresh[i]).Elem())
		}
	})
	for i := range fresh {
		s.Jobs[i] = &fresh[i]
	}
}

// mover knows where each Spec went, so that jobs that shared one go on sharing
// it, and which fields of a struct may refer to something.
type mover struct {
	specs  map[*Spec]*Spec
	fields map[reflect.Type][]int
}

// referring are the fields of a struct that relocate has to look at.
func (m mover) referring(t reflect.Type) []int {
	list, known := m.fields[t]
	if known {
		return list
	}
	for i := range t.NumField() {
		switch t.Field(i).Type.Kind() {
		case reflect.String, reflect.Struct, reflect.Pointer, reflect.Slice, reflect.Map:
			list = append(list, i)
		}
	}
	m.fields[t] = list
	return list
}

// relocate copies what v refers to, in place.
func (m mover) relocate(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(strings.Clone(v.String()))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return // in UTC, which refers to nothing
		}
		for _, i := range m.referring(v.Type()) {
			m.relocate(v.Field(i))
		}
	case reflect.Pointer:
		if _, shared := v.Interface().(*Calendar); shared || v.IsNil() {
			return
		}
		if _, shared := v.Interface().(*time.Location); shared {
			return // by its address, which is what its table is found by
		}
		if spec, ok := v.Interface().(*Spec); ok {
			v.Set(reflect.ValueOf(m.specs[spec]))
			return
		}
		moved := reflect.New(v.Type().Elem())
		moved.Elem().Set(v.Elem())
		m.relocate(moved.Elem())
		v.Set(moved)
	case reflect.Slice:
		if v.IsNil() {
			return
		}
		moved := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(moved, v)
		for i := range moved.Len() {
			m.relocate(moved.Index(i))
		}
		v.Set(moved)
	case reflect.Map:
		if v.IsNil() {
			return
		}
		moved := reflect.MakeMapWithSize(v.Type(), v.Len())
		for k, value := range v.Seq2() {
			key, elem := reflect.New(k.Type()).Elem(), reflect.New(value.Type()).Elem()
			key.Set(k)
			elem.Set(value)
			m.relocate(key)
			m.relocate(elem)
			moved.SetMapIndex(key, elem)
		}
		v.Set(moved)
	}
}
