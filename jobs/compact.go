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
	for i, j := range s.Jobs {
		fresh[i] = *j
		relocate(reflect.ValueOf(&fresh[i]).Elem())
	}
	for i := range fresh {
		s.Jobs[i] = &fresh[i]
	}
}

// relocate copies what v refers to, in place.
func relocate(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(strings.Clone(v.String()))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return // in UTC, which refers to nothing
		}
		for i := range v.NumField() {
			relocate(v.Field(i))
		}
	case reflect.Pointer:
		if _, shared := v.Interface().(*Calendar); shared || v.IsNil() {
			return
		}
		if _, shared := v.Interface().(*time.Location); shared {
			return // by its address, which is what its table is found by
		}
		if spec, ok := v.Interface().(*Spec); ok {
			moved := *spec // its zone is shared by all and stays
			moved.expr = strings.Clone(spec.expr)
			v.Set(reflect.ValueOf(&moved))
			return
		}
		moved := reflect.New(v.Type().Elem())
		moved.Elem().Set(v.Elem())
		relocate(moved.Elem())
		v.Set(moved)
	case reflect.Slice:
		if v.IsNil() {
			return
		}
		moved := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(moved, v)
		for i := range moved.Len() {
			relocate(moved.Index(i))
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
			relocate(key)
			relocate(elem)
			moved.SetMapIndex(key, elem)
		}
		v.Set(moved)
	}
}
