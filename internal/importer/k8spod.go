package importer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// pod reads what a run does: the command of the one container.
func (k *k8sSource) pod(spec tree, j *draftJob) error {
	pod := spec.get("jobTemplate", "spec", "template", "spec")
	containers := pod.get("containers").items()
	if len(containers) == 0 {
		return errors.New("it has no container")
	}
	c := containers[0]
	if len(containers) > 1 {
		var others []string
		for _, other := range containers[1:] {
			others = append(others, other.get("name").text())
		}
		k.complain(containers[1].line(), Part, j.found, "a job has one command: that of the container %q; left out: %s", c.get("name").text(), strings.Join(others, ", "))
	}
	for _, init := range pod.get("initContainers").items() {
		k.complain(init.line(), Part, "initContainer "+init.get("name").text(), "it is left out; steps: run one command after the other")
	}
	if image := c.get("image").text(); image != "" {
		j.above = append(j.above, "# image "+shortened(image))
		k.once(j, "images are not run; the nodes of carillon must have what the command needs")
	}
	env, elsewhere := k.environment(c, j)
	argv := append(list(c.get("command")), list(c.get("args"))...)
	if !c.get("command").given() {
		return fmt.Errorf("it runs what its image %s has for an entrypoint, which the manifest does not say; add command: to the container", c.get("image").text())
	}
	for i, arg := range argv {
		var missing []string
		argv[i], missing = expand(arg, env)
		k.withoutValue(c, arg, missing, elsewhere)
	}
	if len(argv) == 3 && (argv[0] == "/bin/sh" || argv[0] == "sh") && argv[1] == "-c" && strings.TrimSpace(argv[2]) != "" {
		j.pairs = append(j.pairs, pair{key: "run", value: script(argv[2])})
	} else {
		j.pairs = append(j.pairs, commandPair(argv))
	}
	if dir := c.get("workingDir").text(); dir != "" {
		j.set("dir", text(dir))
	}
	k.leftBehind(pod, c, j)
	return nil
}

// withoutValue complains of references to variables whose values are elsewhere.
// Other names that Kubernetes does not know either stay as they are there too.
func (k *k8sSource) withoutValue(at tree, found string, missing, elsewhere []string) {
	for _, name := range missing {
		if slices.Contains(elsewhere, name) {
			k.complain(at.line(), Part, found, "$(%s) has no value in the manifest and stays as it is; a run: script would have $%s", name, name)
		}
	}
}

func list(t tree) []string {
	var texts []string
	for _, item := range t.items() {
		texts = append(texts, item.text())
	}
	return texts
}

// leftBehind names what belongs to the cluster.
func (k *k8sSource) leftBehind(pod, c tree, j *draftJob) {
	var found []string
	for _, key := range []string{"volumes", "nodeSelector", "affinity", "tolerations", "serviceAccountName", "securityContext"} {
		if pod.get(key).given() {
			found = append(found, key)
		}
	}
	for _, key := range []string{"resources", "volumeMounts", "securityContext"} {
		if c.get(key).given() && !slices.Contains(found, key) {
			found = append(found, key)
		}
	}
	if len(found) > 0 {
		k.complain(pod.line(), Note, j.found, "what belongs to the cluster is left behind: %s (nodes: and user: choose where and as whom a job runs)", strings.Join(found, ", "))
	}
}

// environment writes the variables of a container. Those that come from elsewhere
// have no value in the manifest; their names are answered.
func (k *k8sSource) environment(c tree, j *draftJob) (env map[string]string, elsewhere []string) {
	env = map[string]string{}
	var written []pair
	for _, v := range c.get("env").items() {
		name := v.get("name").text()
		if from := v.get("valueFrom"); from.given() {
			elsewhere = append(elsewhere, name)
			k.complain(v.line(), Part, "env "+name, "%s", k.reference(name, from))
			continue
		}
		val, missing := expand(v.get("value").text(), env)
		k.withoutValue(v, "env "+name, missing, elsewhere)
		env[name] = val
		if why := whyIllegal(name); why != "" {
			k.complain(v.line(), Part, "env "+name, "%s; the variable is left out", why)
			continue
		}
		if i := slices.IndexFunc(written, func(p pair) bool { return p.key == name }); i >= 0 {
			written[i].value = text(val)
			continue
		}
		written = append(written, pair{key: name, value: text(val)})
	}
	for _, from := range c.get("envFrom").items() {
		source := from.get("secretRef", "name").text() + from.get("configMapRef", "name").text()
		k.complain(from.line(), Part, "envFrom "+source, "the manifest does not say which variables that are; write them under env: and secrets:")
	}
	if len(written) > 0 {
		j.set("env", value{form: mapping, pairs: written})
	}
	return env, elsewhere
}

// reference says what to write for a variable without a value.
func (k *k8sSource) reference(name string, from tree) string {
	switch {
	case from.get("secretKeyRef").given():
		return fmt.Sprintf("its value is in the secret %q; put it on the nodes and write secrets: {%s: {file: /run/secrets/%s}}",
			from.get("secretKeyRef", "name").text(), name, from.get("secretKeyRef", "key").text())
	case from.get("configMapKeyRef").given():
		return fmt.Sprintf("its value is in the config map %q; write it under env:", from.get("configMapKeyRef", "name").text())
	}
	return "its value comes from the pod, and there is none; CARILLON_NODE and CARILLON_RUN_ID may do instead"
}

// expand is what Kubernetes does to commands, arguments and values: $(NAME) is the
// value of a variable of the container, $$ is $, and a name that it does not know
// stays as it is (man: "Define a Command and Arguments for a Container").
func expand(s string, env map[string]string) (expanded string, missing []string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '$' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		switch s[i+1] {
		case '$':
			b.WriteByte('$')
			i++
			continue
		case '(':
			end := strings.IndexByte(s[i+2:], ')')
			if end < 0 {
				break
			}
			name := s[i+2 : i+2+end]
			if v, ok := env[name]; ok {
				b.WriteString(v)
			} else {
				b.WriteString("$(" + name + ")")
				missing = append(missing, name)
			}
			i += 2 + end
			continue
		}
		b.WriteByte('$')
	}
	return b.String(), missing
}
