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
	fresh := make([]Job, len(s.Jobs))
	m := mover{}
	for i, j := range s.Jobs {
		fresh[i] = *j
		m.relocate(reflect.ValueOf(&fresh[i]).Elem())
	}
	for i := range fresh {
		s.Jobs[i] = &fresh[i]
	}
}

// mover remembers where it has put the Specs, so that jobs that shared one go on
// sharing it.
type mover map[*Spec]*Spec

// relocate copies what v refers to, in place.
func (m mover) relocate(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(strings.Clone(v.String()))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return // in UTC, which refers to nothing
		}
		for i := range v.NumField() {
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
			if m[spec] == nil {
				moved := *spec // its zone and its calendars are shared by all and stay
				moved.expr = strings.Clone(spec.expr)
				m[spec] = &moved
			}
			v.Set(reflect.ValueOf(m[spec]))
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
